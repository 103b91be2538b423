-- How far a run of requests is.
SELECT (SELECT collected FROM runs WHERE run_id = %(run_id)s) AS requests,
       count(*) FILTER (WHERE state = 'accepted') AS answered
FROM requests WHERE run_id = %(run_id)s;
