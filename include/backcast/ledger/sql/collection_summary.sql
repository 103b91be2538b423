-- How a collection went.
SELECT runs.collected, runs.estimated_requests, runs.estimated_usd, runs.commit_id,
       count(*) FILTER (WHERE outcome = 'reused') AS reused,
       count(*) FILTER (WHERE outcome = 'skipped') AS skipped
FROM runs LEFT JOIN documents USING (run_id)
WHERE run_id = %(run_id)s
GROUP BY runs.run_id;
