-- Withdraws what was planned and not sent.
UPDATE batches SET state = 'withdrawn', note = 'the run was canceled' WHERE run_id = %(run_id)s AND state = 'planned'
RETURNING batch_id;
