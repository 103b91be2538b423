-- Closes an intent that is proved not to have arrived.
UPDATE batches SET state = 'not_arrived', note = %(note)s WHERE batch_id = %(batch_id)s AND state = 'in_doubt';
