-- Each request of a run with the result that answered it, or else its last one, in the order of its file; of one without an
-- answer why, and what was tried.
SELECT documents.path AS custom_id, documents.outcome, documents.reason, raw, attempts, steps, left_because
FROM documents
JOIN LATERAL (
    SELECT (array_agg(raw ORDER BY (requests.state = 'accepted') DESC, requests.attempt DESC)
            FILTER (WHERE raw IS NOT NULL))[1] AS raw, count(*) AS attempts
    FROM requests LEFT JOIN results USING (request_id)
    WHERE requests.document_id = documents.document_id
) AS last ON true
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_object('round', round, 'remedy', remedy, 'max_tokens', requests.max_tokens,
                                      'synchronous', synchronous, 'state', state, 'cause', cause) ORDER BY attempt) AS steps,
           max(left_because) AS left_because
    FROM requests
    WHERE requests.document_id = documents.document_id AND documents.outcome <> 'answered'
) AS lineage ON true
WHERE documents.run_id = %(run_id)s
ORDER BY priority;
