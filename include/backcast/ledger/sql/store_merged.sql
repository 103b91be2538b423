-- Stores what was merged of a document's parts as the accepted answer about all of it, which releases its claim.
WITH split AS (
    UPDATE requests SET claims = false WHERE request_id = %(split_id)s RETURNING *
), merged AS (
    INSERT INTO requests (run_id, document_id, answer_key, parent_id, attempt, round, remedy, max_tokens, simulated, claims,
                          state, variant)
    SELECT run_id, document_id, answer_key, request_id, attempt + 1, round, 'merged', max_tokens, simulated, false,
           'accepted', variant
    FROM split
    RETURNING request_id, answer_key, simulated
)
INSERT INTO results (request_id, result_type, raw, received_at, verdict, answer_key, simulated)
SELECT request_id, 'merged', %(raw)s, %(now)s, 'accepted', answer_key, simulated FROM merged;
