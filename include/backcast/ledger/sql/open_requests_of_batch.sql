-- How many requests of a batch have no result, and how many of them may not be sent any more.
SELECT count(*) AS count, count(*) FILTER (WHERE NOT claims) AS released
FROM requests WHERE batch_id = %(batch_id)s AND state = 'open';
