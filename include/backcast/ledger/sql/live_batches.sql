-- The batches of a run that may go on at the API.
SELECT batch_id, api_batch_id, base_url, key_fingerprint, cut_off_at FROM batches
WHERE run_id = %(run_id)s AND state = 'submitted' AND canceling_at IS NULL ORDER BY batch_id;
