-- Holds a workspace for this session: two listings at once would count one absence twice.
SELECT pg_try_advisory_lock(hashtext('backcast workspace'), hashtext(%(workspace)s)) AS locked;
