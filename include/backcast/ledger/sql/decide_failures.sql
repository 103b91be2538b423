-- Releases the claims of what failed before a round: whether it is tried again is decided with it.
UPDATE requests SET claims = false
WHERE run_id = %(run_id)s AND round < %(before)s AND state = 'failed' AND claims;
