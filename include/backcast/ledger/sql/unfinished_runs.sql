-- The runs of workflows that are not over, oldest first; who runs a file of requests is no DAG.
SELECT run_id, external_key FROM runs WHERE kind = 'documents' AND state IN ('open', 'collected') AND canceled_at IS NULL ORDER BY run_id;
