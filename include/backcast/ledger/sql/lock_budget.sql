-- Holds the budget of a workflow until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('backcast budget'), hashtext(%(workflow)s));
