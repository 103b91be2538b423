-- What a run put into the review lane, with what was asked and what came back.
SELECT item_id, path, item.cause, reason,
       (SELECT json_agg(json_build_object('round', round, 'remedy', remedy, 'max_tokens', max_tokens,
                                          'synchronous', synchronous, 'cause', requests.cause, 'detail', detail,
                                          'result', raw::json) ORDER BY attempt)
        FROM requests LEFT JOIN results USING (request_id)
        WHERE requests.run_id = documents.run_id AND requests.answer_key = documents.answer_key) AS attempts
FROM review_lane AS item JOIN documents USING (document_id)
WHERE item.run_id = %(run_id)s
ORDER BY path;
