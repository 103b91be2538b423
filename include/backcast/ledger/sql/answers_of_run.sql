-- The accepted answers that a run publishes, with the documents they are about.
SELECT documents.document_id, path, raw
FROM documents JOIN results USING (result_id)
WHERE run_id = %(run_id)s
ORDER BY path;
