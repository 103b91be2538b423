-- The requests of a round that are in no batch yet and are not answered synchronously: the bytes of what each shows of its
-- document, lines with their numbers, a PDF in base64, in the order they are packed in.
SELECT coalesce((part ->> 'bytes')::bigint, octet_length(pdf) * 4::bigint / 3, greatest(octet_length(body), prompt_bytes)) AS size
FROM requests JOIN documents USING (document_id) JOIN contents USING (content_hash)
WHERE requests.run_id = %(run_id)s AND round = %(round)s AND state = 'open' AND batch_id IS NULL AND NOT synchronous AND claims
ORDER BY path, part_number, request_id;
