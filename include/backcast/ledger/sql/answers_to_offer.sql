-- The accepted answers that a run publishes, with the documents they are about and what running them has shown.
SELECT documents.path, raw, checks.verdict, checks.detail, checks.passed, checks.seconds
FROM documents JOIN results USING (result_id)
LEFT JOIN checks ON checks.run_id = documents.run_id AND checks.result_id = results.result_id
WHERE documents.run_id = %(run_id)s
ORDER BY documents.path;
