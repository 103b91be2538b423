-- What a batch sends, in order.
SELECT wire_id, requests.max_tokens, variant, part, CASE WHEN parent_id IS NOT NULL THEN paused_turns(request_id) END AS paused,
       CASE WHEN variant = 'repair' THEN malformed_turn(request_id) END AS malformed,
       documents.max_tokens AS own_max_tokens, documents.path, documents.language, content_hash, body, pdf
FROM requests JOIN documents USING (document_id) JOIN contents USING (content_hash)
WHERE batch_id = %(batch_id)s
ORDER BY position;
