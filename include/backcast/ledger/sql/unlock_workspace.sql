-- Lets go of a workspace.
SELECT pg_advisory_unlock(hashtext('backcast workspace'), hashtext(%(workspace)s));
