-- Holds the promotions of a workflow until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('backcast prompts'), hashtext(%(workflow)s));
