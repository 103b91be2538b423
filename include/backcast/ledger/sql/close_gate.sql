-- Forgets that a run was to be proved, since it will submit nothing.
DELETE FROM gates WHERE run_id = %(run_id)s AND verdict IS NULL;
