-- The accepted answers of a run, with the documents they are about, but those that the run of its workflow and source that was
-- published last and had an answer for the same path had already.
SELECT documents.document_id, documents.path, documents.content_hash, raw, body
FROM documents JOIN runs USING (run_id) JOIN results USING (result_id)
JOIN contents ON contents.content_hash = documents.content_hash
WHERE documents.run_id = %(run_id)s
  AND documents.result_id IS DISTINCT FROM (
      SELECT last.result_id
      FROM runs AS before JOIN documents AS last ON last.run_id = before.run_id AND last.path = documents.path
      WHERE before.workflow = runs.workflow AND before.repository = runs.repository AND before.simulated = runs.simulated
        AND before.run_id <> runs.run_id AND before.state = 'published' AND last.result_id IS NOT NULL
      ORDER BY before.published_at DESC, before.run_id DESC LIMIT 1)
ORDER BY documents.path;
