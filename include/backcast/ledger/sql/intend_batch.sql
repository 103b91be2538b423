-- Writes down that a batch is about to be sent, unless it was withdrawn.
UPDATE batches
SET state = 'intended', base_url = %(base_url)s, key_fingerprint = %(key_fingerprint)s,
    server_time = %(server_time)s, intended_at = %(now)s, send_by = %(send_by)s
WHERE batch_id = %(batch_id)s AND state = 'planned';
