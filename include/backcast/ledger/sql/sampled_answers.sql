-- What became of the sample of a run, in path order. What came back is told where it was not accepted.
SELECT path, language, requests.state, cause, detail, left_because, documents.prompt_bytes,
       CASE WHEN requests.state = 'failed' THEN raw END AS raw, coalesce(input_tokens, 0) AS input_tokens,
       coalesce(cache_read_tokens, 0) + coalesce(cache_write_tokens, 0) AS cached_tokens,
       coalesce(output_tokens, 0) AS output_tokens, coalesce(cost_usd, 0) AS cost_usd,
       extract(epoch FROM ended_at - sent_at)::float AS seconds
FROM requests JOIN documents USING (document_id)
LEFT JOIN results ON results.request_id = requests.request_id LEFT JOIN calls ON calls.call_id = results.call_id
WHERE requests.run_id = %(run_id)s AND sampled AND parent_id IS NULL
ORDER BY path;
