-- Holds a batch for this session: whoever holds it is alive and sending.
SELECT pg_try_advisory_lock(hashtext('backcast batch'), %(batch_id)s::integer) AS locked;
