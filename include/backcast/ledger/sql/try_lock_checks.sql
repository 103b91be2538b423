-- Holds the checking of a workflow's findings in a repository, if nobody else does.
SELECT pg_try_advisory_lock(hashtext('backcast checks'), hashtext(%(checks)s)) AS locked;
