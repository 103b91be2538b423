-- Puts into the review lane what a run gave up although it does not pass by itself, in whole or in part.
INSERT INTO review_lane (run_id, document_id, answer_key, simulated, cause, opened_at)
SELECT DISTINCT ON (documents.answer_key)
       documents.run_id, documents.document_id, documents.answer_key, last.simulated, last.cause, %(now)s
FROM documents
JOIN LATERAL (
    SELECT cause, simulated FROM requests
    WHERE requests.run_id = documents.run_id AND state = 'failed' AND cause = ANY (%(causes)s)
      AND requests.document_id = (SELECT document_id FROM requests AS root
                                  WHERE root.run_id = documents.run_id AND root.parent_id IS NULL
                                    AND root.answer_key = documents.answer_key)
      AND NOT EXISTS (SELECT FROM requests AS child WHERE child.parent_id = requests.request_id)
    ORDER BY (part ->> 'first')::integer LIMIT 1
) AS last ON true
WHERE documents.run_id = %(run_id)s AND documents.outcome = 'unanswered'
ORDER BY documents.answer_key, documents.path
ON CONFLICT (answer_key, simulated) WHERE state <> 'retry' DO NOTHING;
