-- Holds a run until somebody decides.
UPDATE runs SET held_because = %(reason)s WHERE run_id = %(run_id)s AND canceled_at IS NULL AND held_because IS NULL;
