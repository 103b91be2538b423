-- Closes an intent that the API refused: nothing was accepted.
UPDATE batches SET state = 'refused', note = %(note)s WHERE batch_id = %(batch_id)s;
