-- Locks a run until the transaction ends, so that two tasks cannot change it at once.
SELECT state FROM runs WHERE run_id = %(run_id)s FOR UPDATE;
