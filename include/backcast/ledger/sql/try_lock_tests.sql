-- Holds the running of what a run proposes for this session: whoever holds it is alive.
SELECT pg_try_advisory_lock(hashtext('backcast tests'), %(run_id)s::integer) AS locked;
