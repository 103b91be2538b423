-- Why documents were left out, with a few of them by name.
SELECT reason, count(*) AS count, (array_agg(path ORDER BY path))[1:5] AS examples
FROM documents
WHERE run_id = %(run_id)s AND outcome = 'skipped'
GROUP BY reason
ORDER BY count(*) DESC, reason;
