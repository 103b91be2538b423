-- How a run's documents ended.
SELECT count(*) AS collected,
       count(*) FILTER (WHERE outcome = 'answered') AS answered,
       count(*) FILTER (WHERE outcome = 'reused') AS reused,
       count(*) FILTER (WHERE outcome = 'skipped') AS skipped,
       count(*) FILTER (WHERE outcome = 'unanswered') AS unanswered
FROM documents WHERE run_id = %(run_id)s;
