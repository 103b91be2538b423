-- What a run put into the review lane, with what was asked and what came back.
SELECT item_id, path, item.cause, reason,
       (SELECT json_agg(json_build_object('round', round, 'remedy', remedy, 'max_tokens', max_tokens,
                                          'synchronous', synchronous, 'part', part, 'cause', requests.cause,
                                          'detail', detail, 'result', raw::json)
                        ORDER BY (part ->> 'first')::integer NULLS FIRST, (part ->> 'last')::integer DESC,
                                 attempt)
        FROM requests LEFT JOIN results USING (request_id)
        WHERE requests.run_id = documents.run_id AND requests.remedy IS DISTINCT FROM 'merged'
          AND requests.document_id = (SELECT document_id FROM requests AS root
                                      WHERE root.run_id = documents.run_id AND root.parent_id IS NULL
                                        AND root.answer_key = documents.answer_key)) AS attempts
FROM review_lane AS item JOIN documents USING (document_id)
WHERE item.run_id = %(run_id)s
ORDER BY path;
