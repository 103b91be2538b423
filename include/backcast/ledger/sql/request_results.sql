-- Each request of a run with the result that answered it, or else its last one, in the order of its file; and why there is
-- no answer.
SELECT documents.path AS custom_id, documents.outcome, documents.reason, raw, attempts
FROM documents
JOIN LATERAL (
    SELECT (array_agg(raw ORDER BY (requests.state = 'accepted') DESC, requests.attempt DESC)
            FILTER (WHERE raw IS NOT NULL))[1] AS raw, count(*) AS attempts
    FROM requests LEFT JOIN results USING (request_id)
    WHERE requests.document_id = documents.document_id
) AS last ON true
WHERE documents.run_id = %(run_id)s
ORDER BY priority;
