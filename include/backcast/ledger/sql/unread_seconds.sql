-- The second batches of a workspace whose rows nobody has read.
SELECT sightings.api_batch_id, batch_id, run_id FROM sightings JOIN batches USING (batch_id)
WHERE sightings.base_url = %(base_url)s AND sightings.key_fingerprint = %(key_fingerprint)s AND verdict = 'second'
  AND row_count IS NULL
ORDER BY sightings.created_at;
