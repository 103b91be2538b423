-- Ends holding the checking of a workflow's findings in a repository.
SELECT pg_advisory_unlock(hashtext('backcast checks'), hashtext(%(checks)s));
