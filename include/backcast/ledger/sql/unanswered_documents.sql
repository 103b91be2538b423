-- The documents that got no acceptable answer, with the reason and how often they were tried.
SELECT path, reason,
       (SELECT count(*) FROM requests
        WHERE requests.document_id = (SELECT document_id FROM requests AS root
                                      WHERE root.run_id = documents.run_id AND root.parent_id IS NULL
                                        AND root.answer_key = documents.answer_key)
          AND NOT EXISTS (SELECT FROM results
                          WHERE results.request_id = requests.request_id AND result_type = 'adopted')) AS attempts
FROM documents
WHERE run_id = %(run_id)s AND outcome = 'unanswered'
ORDER BY path;
