-- Plans a batch; it is only sent after its intent is written.
INSERT INTO batches (run_id, round, position, replaces, nonce, request_count, held_until)
VALUES (%(run_id)s, %(round)s, %(position)s, %(replaces)s, %(nonce)s, %(request_count)s, %(held_until)s)
RETURNING batch_id;
