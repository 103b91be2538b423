-- How far a run of requests is.
SELECT (SELECT collected FROM runs WHERE run_id = %(run_id)s) AS requests,
       count(*) FILTER (WHERE state = 'accepted') AS answered,
       count(*) FILTER (WHERE state = 'failed') AS failed,
       count(*) FILTER (WHERE synchronous) AS synchronous
FROM requests WHERE run_id = %(run_id)s;
