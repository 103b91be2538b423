-- What the first round will send: for each request, the length of its document in characters.
SELECT char_length(body) AS characters
FROM requests JOIN documents USING (document_id) JOIN contents USING (content_hash)
WHERE requests.run_id = %(run_id)s AND left_because IS NULL;
