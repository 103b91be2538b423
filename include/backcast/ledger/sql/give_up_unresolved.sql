-- Gives up the batches of which nobody knows the end in time, so that their requests are answered synchronously.
UPDATE batches SET state = 'given_up', note = 'answered synchronously at the deadline, possibly paid twice'
WHERE run_id = %(run_id)s AND state IN ('in_doubt', 'submitted')
RETURNING batch_id;
