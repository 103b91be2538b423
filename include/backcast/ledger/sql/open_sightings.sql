-- The batches of a workspace of which nobody knows whose they are.
SELECT api_batch_id, created_at, request_count, times_seen, ended
FROM sightings
WHERE base_url = %(base_url)s AND key_fingerprint = %(key_fingerprint)s AND verdict IS NULL
ORDER BY created_at;
