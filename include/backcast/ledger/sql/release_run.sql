-- Lets a held run go on; when it was due meanwhile, it gets as much time again as it had.
UPDATE runs
SET held_because = NULL, deadline = CASE WHEN deadline < %(now)s THEN %(now)s + (deadline - opened_at) ELSE deadline END
WHERE run_id = %(run_id)s;
