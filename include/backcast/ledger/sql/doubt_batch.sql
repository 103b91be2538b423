-- Holds an intent whose create call has no known end.
UPDATE batches SET state = 'in_doubt', note = %(note)s WHERE batch_id = %(batch_id)s;
