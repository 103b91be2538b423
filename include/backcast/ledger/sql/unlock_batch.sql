-- Lets go of a batch.
SELECT pg_advisory_unlock(hashtext('backcast batch'), %(batch_id)s::integer);
