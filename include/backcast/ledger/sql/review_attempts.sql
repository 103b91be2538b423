-- What was asked about a document in the review lane, and what came back.
SELECT requests.request_id, requests.round, requests.remedy, requests.variant, requests.max_tokens, synchronous,
       (part ->> 'first')::integer AS line_start, (part ->> 'last')::integer AS line_end,
       requests.cause, requests.detail, raw, received_at, cost_usd
FROM review_lane AS item JOIN documents USING (document_id)
JOIN requests ON requests.run_id = documents.run_id AND requests.remedy IS DISTINCT FROM 'merged'
             AND requests.document_id = (SELECT document_id FROM requests AS root
                                         WHERE root.run_id = documents.run_id AND root.parent_id IS NULL
                                           AND root.answer_key = documents.answer_key)
LEFT JOIN results USING (request_id)
WHERE item_id = %(item_id)s
ORDER BY (part ->> 'first')::integer NULLS FIRST, (part ->> 'last')::integer DESC, attempt;
