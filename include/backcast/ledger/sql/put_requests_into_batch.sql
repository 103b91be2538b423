-- Puts packed requests into their batch and gives them the ids that they travel under.
UPDATE requests
SET batch_id = %(batch_id)s, position = packed.position,
    wire_id = wire_id(%(slug)s, requests.answer_key, requests.round, %(nonce)s, packed.position)
FROM packed
WHERE packed.request_id = requests.request_id AND packed.batch_position = %(batch_position)s;
