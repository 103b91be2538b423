-- How many documents of a run were answered at the first attempt, and how many of these answers were accepted; what failed
-- for a reason that passes by itself says nothing of the prompt.
SELECT count(*) AS judged, count(*) FILTER (WHERE state = 'accepted') AS accepted
FROM requests
WHERE run_id = %(run_id)s AND parent_id IS NULL AND state <> 'open' AND cause IS DISTINCT FROM 'passing';
