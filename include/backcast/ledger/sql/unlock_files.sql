-- Lets go of a file of requests and its answers.
SELECT pg_advisory_unlock(hashtext('backcast run'), hashtext(%(files)s));
