-- The documents that got no acceptable answer, with the reason and how often they were tried.
SELECT path, reason,
       (SELECT count(*) FROM requests
        WHERE requests.run_id = documents.run_id AND requests.answer_key = documents.answer_key) AS attempts
FROM documents
WHERE run_id = %(run_id)s AND outcome = 'unanswered'
ORDER BY path;
