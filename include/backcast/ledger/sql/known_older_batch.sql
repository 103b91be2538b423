-- The newest batch of a workspace that was there before a time of the server's: a complete listing must show it.
SELECT api_batch_id, server_time
FROM batches
WHERE base_url = %(base_url)s AND key_fingerprint = %(key_fingerprint)s AND api_batch_id IS NOT NULL
  AND server_time < %(before)s
ORDER BY server_time DESC LIMIT 1;
