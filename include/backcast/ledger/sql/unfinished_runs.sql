-- The runs that are not over, oldest first.
SELECT run_id, external_key FROM runs WHERE state IN ('open', 'collected') AND canceled_at IS NULL ORDER BY run_id;
