-- What a synchronous request sends.
SELECT requests.max_tokens, variant, part, paused_turns(request_id) AS paused, path, language, content_hash, body
FROM requests JOIN documents USING (document_id) JOIN contents USING (content_hash)
WHERE request_id = %(request_id)s;
