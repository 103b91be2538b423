-- The batches of a run that the API may still work on, and those of which nobody knows.
SELECT batch_id, api_batch_id, state, base_url, key_fingerprint FROM batches
WHERE run_id = %(run_id)s AND state IN ('intended', 'in_doubt', 'submitted')
ORDER BY batch_id;
