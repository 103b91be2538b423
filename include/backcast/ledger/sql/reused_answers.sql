-- The answers that a run takes from other runs, with why one is none any more, when its own run has found it failing.
SELECT documents.document_id, path, results.result_id, raw, CASE WHEN results.verdict <> 'accepted' THEN detail END AS failed
FROM documents JOIN results USING (result_id) JOIN requests USING (request_id)
WHERE documents.run_id = %(run_id)s AND outcome = 'reused' AND requests.run_id <> documents.run_id
ORDER BY path;
