-- Writes down who lets a run go on whatever its sample says, and why.
UPDATE runs SET let_pass = %(let_pass)s WHERE run_id = %(run_id)s;
