-- How many requests of a batch have no result.
SELECT count(*) AS count FROM requests WHERE batch_id = %(batch_id)s AND state = 'open';
