-- Reserves the most that each request of its own parameters can cost, and leaves out what the budget does not cover.
WITH prices AS (
    SELECT * FROM json_to_recordset(%(prices)s::json) AS price (model text, input numeric, output numeric)
), costed AS (
    SELECT request_id, usd, sum(usd) OVER (ORDER BY priority, request_id) AS up_to_here
    FROM requests JOIN documents USING (document_id) JOIN prices USING (model),
    LATERAL (
        SELECT ((ceil((prompt_bytes
                       + CASE WHEN parent_id IS NULL THEN 0
                              ELSE coalesce(octet_length(paused_turns(request_id)::text), 0)
                                   + coalesce(octet_length(malformed_turn(request_id)::text), 0) END)
                      / %(bytes_a_token)s::numeric) * input + requests.max_tokens * output) / 1000000
                * CASE WHEN synchronous THEN 1 ELSE %(batch_share)s END)::numeric(20, 10) AS usd
    ) AS cost
    WHERE requests.run_id = %(run_id)s AND requests.state = 'open' AND claims AND left_because IS NULL
      AND reserved_usd IS NULL
)
UPDATE requests
SET reserved_usd = usd,
    left_because = CASE WHEN up_to_here > %(left)s::numeric THEN %(why)s::text END,
    claims = (up_to_here > %(left)s::numeric) IS NOT TRUE
FROM costed WHERE costed.request_id = requests.request_id;
