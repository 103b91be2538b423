-- Makes one request for each content that still needs an answer, in path order.
INSERT INTO requests (run_id, document_id, answer_key, round, max_tokens)
SELECT run_id, document_id, answer_key, 1, %(max_tokens)s
FROM (
    SELECT DISTINCT ON (answer_key) run_id, document_id, answer_key, path
    FROM documents
    WHERE run_id = %(run_id)s AND outcome IS NULL
    ORDER BY answer_key, path
) AS first_of_each
ORDER BY path;
