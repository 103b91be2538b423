-- Lets go of the running of what a run proposes.
SELECT pg_advisory_unlock(hashtext('backcast tests'), %(run_id)s::integer);
