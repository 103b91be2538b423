-- What a synchronous request sends.
SELECT requests.max_tokens, variant, part, paused_turns(request_id) AS paused,
       CASE WHEN variant = 'repair' THEN malformed_turn(request_id) END AS malformed,
       documents.max_tokens AS own_max_tokens, path, language, content_hash, body, pdf, documents.model
FROM requests JOIN documents USING (document_id) JOIN contents USING (content_hash)
WHERE request_id = %(request_id)s;
