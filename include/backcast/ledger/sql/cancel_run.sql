-- Nothing more is sent for this run.
UPDATE runs SET canceled_at = coalesce(canceled_at, %(now)s), held_because = NULL WHERE run_id = %(run_id)s;
