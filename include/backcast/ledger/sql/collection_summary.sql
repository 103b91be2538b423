-- How a collection went.
SELECT runs.collected, runs.estimated_requests, runs.estimated_usd, runs.commit_id, runs.caching,
       count(*) FILTER (WHERE outcome = 'reused') AS reused,
       count(*) FILTER (WHERE outcome = 'skipped') AS skipped,
       (SELECT count(*) FROM requests WHERE requests.run_id = runs.run_id AND left_because IS NOT NULL) AS left_out,
       count(*) FILTER (WHERE outcome IS NULL AND NOT EXISTS (
           SELECT FROM requests
           WHERE requests.run_id = documents.run_id AND requests.answer_key = documents.answer_key)) AS elsewhere
FROM runs LEFT JOIN documents USING (run_id)
WHERE run_id = %(run_id)s
GROUP BY runs.run_id;
