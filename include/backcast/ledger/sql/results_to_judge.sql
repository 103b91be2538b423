-- The stored results of a batch that nobody has judged, with the documents they are about.
SELECT results.result_id, requests.request_id, result_type, raw, body, path
FROM results
JOIN requests USING (request_id) JOIN documents USING (document_id) JOIN contents USING (content_hash)
WHERE results.batch_id = %(batch_id)s AND verdict IS NULL;
