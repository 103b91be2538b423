-- Writes down that a run is being answered synchronously just now, and by which key.
UPDATE runs SET rescuing_at = %(now)s, rescuing_key = %(key_fingerprint)s WHERE run_id = %(run_id)s;
