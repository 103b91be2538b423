-- Writes down that the API has ended a batch.
UPDATE batches SET state = 'ended', ended_at = %(ended_at)s WHERE batch_id = %(batch_id)s;
