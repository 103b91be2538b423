-- What the first round will send: for each request, the bytes of its document as the prompt shows it.
SELECT prompt_bytes
FROM requests JOIN documents USING (document_id)
WHERE requests.run_id = %(run_id)s AND left_because IS NULL;
