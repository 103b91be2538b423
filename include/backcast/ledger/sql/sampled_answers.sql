-- What became of each document of a sample at its first attempt, in order: by the request of its run, or by another run's
-- when its answer was known; neither when another run was asking for it. Tokens and cost are of what was asked for here.
SELECT documents.path, documents.language, documents.reason, documents.prompt_bytes,
       own.request_id IS NULL AND first.request_id IS NOT NULL AS reused,
       CASE WHEN own.request_id IS NULL THEN first.request_id IS NULL
            ELSE own.state = 'open' AND own.left_because IS NULL AND canceled_at IS NULL END AS elsewhere,
       coalesce(own.state, first.state) AS state, own.cause, own.detail, own.left_because,
       own.state = 'open' AND EXISTS (SELECT FROM calls WHERE calls.request_id = own.request_id AND calls.state = 'lost') AS lost,
       coalesce(answer.raw, known.raw) AS raw,
       CASE WHEN asked THEN answer.input_tokens + answer.cache_read_tokens + answer.cache_write_tokens END AS input_tokens,
       CASE WHEN asked THEN answer.output_tokens END AS output_tokens, CASE WHEN asked THEN answer.cost_usd END AS cost_usd,
       CASE WHEN asked THEN extract(epoch FROM ended_at - sent_at)::float END AS seconds
FROM documents JOIN runs USING (run_id)
LEFT JOIN requests AS own ON own.run_id = documents.run_id AND own.answer_key = documents.answer_key AND own.parent_id IS NULL
LEFT JOIN results AS answer ON answer.request_id = own.request_id
LEFT JOIN calls ON calls.call_id = answer.call_id
LEFT JOIN results AS known ON known.result_id = documents.result_id AND own.request_id IS NULL
LEFT JOIN requests AS first ON first.request_id = known.request_id AND first.parent_id IS NULL,
-- Of several documents of the same content one was asked about.
LATERAL (SELECT own.document_id = documents.document_id AS asked) AS here
WHERE documents.run_id = %(run_id)s AND ((own.sampled AND asked) OR runs.kind = 'sample')
ORDER BY documents.priority, documents.path;
