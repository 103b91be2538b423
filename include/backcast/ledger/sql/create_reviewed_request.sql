-- Writes down a request of a review, which has ended: one that lost its answer may have been paid for.
INSERT INTO requests (run_id, document_id, answer_key, round, max_tokens, simulated, claims, synchronous, state, cause, detail,
                      left_because, risked_usd)
SELECT run_id, document_id, answer_key, 1, runs.max_tokens, simulated, false, true, %(state)s, %(cause)s, %(detail)s,
       %(left_because)s, %(risked_usd)s
FROM documents JOIN runs USING (run_id)
WHERE run_id = %(run_id)s AND path = %(path)s
RETURNING request_id;
