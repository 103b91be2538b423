-- The intents of a workspace whose batch a listing may still show: those without a known end, and recent ones, since a
-- proxy may have repeated their call; longer where a batch was seen that may be one and that nobody could read yet.
SELECT batch_id, run_id, state, nonce, request_count, server_time, intended_at, send_by, empty_listings, empty_listing_at
FROM batches
WHERE base_url = %(base_url)s AND key_fingerprint = %(key_fingerprint)s
  AND (state IN ('intended', 'in_doubt') OR intended_at > %(watched_since)s
       OR EXISTS (
           SELECT FROM sightings
           WHERE verdict IS NULL AND sightings.base_url = batches.base_url
             AND sightings.key_fingerprint = batches.key_fingerprint
             AND sightings.request_count IN (0, batches.request_count)
             AND sightings.created_at BETWEEN batches.server_time - interval '1 minute'
                                          AND batches.server_time + interval '25 hours'))
ORDER BY batch_id;
