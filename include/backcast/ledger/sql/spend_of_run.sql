-- What a run's requests used and cost.
SELECT count(*) AS requests,
       coalesce(sum(input_tokens), 0) AS input_tokens, coalesce(sum(output_tokens), 0) AS output_tokens,
       coalesce(sum(cache_read_tokens), 0) AS cache_read_tokens,
       coalesce(sum(cache_write_tokens), 0) AS cache_write_tokens,
       coalesce(sum(cost_usd), 0) AS cost_usd, coalesce(sum(synchronous_usd), 0) AS synchronous_usd
FROM requests JOIN results USING (request_id)
WHERE run_id = %(run_id)s AND result_type NOT IN ('merged', 'adopted');
