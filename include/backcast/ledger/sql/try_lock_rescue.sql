-- Holds the synchronous answering of a run for this session: whoever holds it is alive.
SELECT pg_try_advisory_lock(hashtext('backcast rescue'), %(run_id)s::integer) AS locked;
