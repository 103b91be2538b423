-- Plans a batch; it is only sent after its intent is written.
INSERT INTO batches (run_id, round, position, replaces, nonce, request_count)
VALUES (%(run_id)s, %(round)s, %(position)s, %(replaces)s, %(nonce)s, %(request_count)s)
RETURNING batch_id;
