-- Releases whatever a run that is over had claimed.
UPDATE requests SET claims = false WHERE run_id = %(run_id)s AND claims;
