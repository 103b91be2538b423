-- Moves the open requests of a batch that is over into the one that replaces it, under new ids.
UPDATE requests
SET batch_id = %(batch_id)s, wire_id = wire_id(%(slug)s, answer_key, round, %(nonce)s, position)
WHERE batch_id = %(refused_batch_id)s AND state = 'open';
