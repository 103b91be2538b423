-- Withdraws what was planned and not sent.
UPDATE batches SET state = 'withdrawn', note = %(note)s WHERE run_id = %(run_id)s AND state = 'planned'
RETURNING batch_id;
