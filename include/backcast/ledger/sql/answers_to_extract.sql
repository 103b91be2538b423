-- The accepted answers of a run that no published run of its workflow and source had for the same path, with the documents
-- they are about.
SELECT documents.document_id, documents.path, documents.content_hash, raw, body
FROM documents JOIN runs USING (run_id) JOIN results USING (result_id)
JOIN contents ON contents.content_hash = documents.content_hash
WHERE documents.run_id = %(run_id)s
  AND NOT EXISTS (SELECT FROM documents AS earlier JOIN runs AS before ON before.run_id = earlier.run_id
                  WHERE earlier.result_id = documents.result_id AND earlier.path = documents.path
                    AND before.workflow = runs.workflow AND before.repository = runs.repository
                    AND before.run_id <> runs.run_id AND before.state = 'published')
ORDER BY documents.path;
