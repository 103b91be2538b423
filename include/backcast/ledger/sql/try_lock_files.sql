-- Holds a file of requests and its answers, if nobody else does, until the session ends.
SELECT pg_try_advisory_lock(hashtext('backcast run'), hashtext(%(files)s)) AS locked;
