-- Makes the requests of a sample, to be answered synchronously: one for each content without a known answer that no other
-- run has claimed; in the order of the claims, so that two runs that want the same contents never wait for each other.
INSERT INTO requests (run_id, document_id, answer_key, round, max_tokens, simulated, claims, synchronous, sampled)
SELECT run_id, document_id, answer_key, %(round)s, runs.max_tokens, simulated, true, true, true
FROM (
    SELECT DISTINCT ON (answer_key) run_id, document_id, answer_key
    FROM documents
    WHERE run_id = %(run_id)s AND outcome IS NULL
    ORDER BY answer_key, priority
) AS first_of_each JOIN runs USING (run_id)
ORDER BY answer_key
ON CONFLICT (answer_key, simulated) WHERE claims DO NOTHING;
