-- Writes down that a run is being answered synchronously just now.
UPDATE runs SET rescuing_at = %(now)s WHERE run_id = %(run_id)s;
