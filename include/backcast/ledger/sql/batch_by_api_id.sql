-- The batch that the API knows by this id.
SELECT batch_id, run_id, api_batch_id, state, base_url, key_fingerprint FROM batches
WHERE api_batch_id = %(api_batch_id)s;
