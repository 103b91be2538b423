-- Lets a held run go on.
UPDATE runs SET held_because = NULL WHERE run_id = %(run_id)s;
