-- Writes down that the API has taken the cancellation.
UPDATE batches SET canceling_at = %(now)s WHERE batch_id = %(batch_id)s;
