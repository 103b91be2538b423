-- Writes down the id that the API gave a batch, unless the same was written before.
UPDATE batches
SET state = 'submitted', api_batch_id = %(api_batch_id)s, submitted_at = %(now)s, expires_at = %(expires_at)s
WHERE batch_id = %(batch_id)s AND api_batch_id IS NULL;
