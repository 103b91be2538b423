-- The documents of a run about which more than one request was made, or whose request failed, with what became of each:
-- of a part its number, how many there are, and its lines.
SELECT documents.path, documents.outcome, lineage.left_because, lineage.steps
FROM documents,
LATERAL (
    SELECT json_agg(json_build_object('round', round, 'remedy', remedy, 'max_tokens', max_tokens,
                                      'synchronous', synchronous, 'state', state, 'cause', cause,
                                      'part', CASE WHEN part IS NOT NULL THEN json_build_object(
                                          'number', part -> 'number', 'count', part -> 'count',
                                          'first', part -> 'first', 'last', part -> 'last') END)
                    ORDER BY (part ->> 'first')::integer NULLS FIRST, (part ->> 'last')::integer DESC, attempt) AS steps,
           count(*) AS requests, bool_or(state = 'failed') AS failed, max(left_because) AS left_because
    FROM requests
    WHERE requests.run_id = documents.run_id AND requests.remedy IS DISTINCT FROM 'merged'
      AND requests.document_id = (SELECT document_id FROM requests AS root
                                WHERE root.run_id = documents.run_id AND root.parent_id IS NULL
                                  AND root.answer_key = documents.answer_key)
) AS lineage
WHERE documents.run_id = %(run_id)s AND (requests > 1 OR failed)
ORDER BY documents.path;
