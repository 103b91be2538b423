-- Puts into the review lane what a run gave up although it does not pass by itself.
INSERT INTO review_lane (run_id, document_id, answer_key, simulated, cause, opened_at)
SELECT DISTINCT ON (documents.answer_key)
       documents.run_id, documents.document_id, documents.answer_key, last.simulated, last.cause, %(now)s
FROM documents
JOIN LATERAL (
    SELECT cause, simulated, state FROM requests
    WHERE requests.run_id = documents.run_id AND requests.answer_key = documents.answer_key
    ORDER BY attempt DESC LIMIT 1
) AS last ON last.state = 'failed' AND last.cause = ANY (%(causes)s)
WHERE documents.run_id = %(run_id)s AND documents.outcome = 'unanswered'
ORDER BY documents.answer_key, documents.path
ON CONFLICT (answer_key, simulated) WHERE state <> 'retry' DO NOTHING;
