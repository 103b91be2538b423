-- The accepted answers that a run publishes, with the documents they are about and what running them has shown.
SELECT documents.path, raw, test_runs.verdict, test_runs.detail, test_runs.passed, test_runs.seconds
FROM documents JOIN results USING (result_id)
LEFT JOIN test_runs ON test_runs.run_id = documents.run_id AND test_runs.result_id = results.result_id
WHERE documents.run_id = %(run_id)s
ORDER BY documents.path;
