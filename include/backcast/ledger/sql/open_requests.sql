-- How many requests of a run have no verdict yet.
SELECT count(*) AS count FROM requests WHERE run_id = %(run_id)s AND state = 'open';
