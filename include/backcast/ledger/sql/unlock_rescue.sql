-- Lets go of the synchronous answering of a run.
SELECT pg_advisory_unlock(hashtext('backcast rescue'), %(run_id)s::integer);
