-- Closes a run that was only to be estimated.
UPDATE runs SET state = 'estimated' WHERE run_id = %(run_id)s;
