-- Puts the next requests of a round into their batch and gives them the ids that they travel under.
UPDATE requests
SET batch_id = %(batch_id)s, position = next.position,
    wire_id = wire_id(%(slug)s, requests.answer_key, requests.round, %(nonce)s, next.position)
FROM (
    SELECT request_id, (row_number() OVER (ORDER BY path, part_number, request_id) - 1)::integer AS position
    FROM requests JOIN documents USING (document_id)
    WHERE requests.run_id = %(run_id)s AND round = %(round)s AND state = 'open' AND batch_id IS NULL AND NOT synchronous AND claims
    ORDER BY path, part_number, request_id LIMIT %(request_count)s
) AS next
WHERE next.request_id = requests.request_id;
