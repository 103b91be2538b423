-- Makes one request for each content that still needs an answer and that no other run has claimed; in the order of the
-- claims, so that two runs that want the same contents never wait for each other.
INSERT INTO requests (run_id, document_id, answer_key, round, max_tokens, simulated, claims)
SELECT run_id, document_id, answer_key, %(round)s, coalesce(first_of_each.max_tokens, runs.max_tokens), simulated, NOT dry_run
FROM (
    SELECT DISTINCT ON (answer_key) run_id, document_id, answer_key, max_tokens
    FROM documents
    WHERE run_id = %(run_id)s AND outcome IS NULL
      AND NOT EXISTS (SELECT FROM requests AS own
                      WHERE own.run_id = documents.run_id AND own.answer_key = documents.answer_key)
    ORDER BY answer_key, path
) AS first_of_each JOIN runs USING (run_id)
ORDER BY answer_key
ON CONFLICT (answer_key, simulated) WHERE claims DO NOTHING;
