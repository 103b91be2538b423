-- The batches of a workspace that were submitted and not ingested, oldest first.
SELECT batch_id, run_id, api_batch_id, submitted_at, gone_at
FROM batches
WHERE state IN ('submitted', 'ended') AND base_url = %(base_url)s AND key_fingerprint = %(key_fingerprint)s
ORDER BY batch_id;
