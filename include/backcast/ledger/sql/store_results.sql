-- Stores the result rows of a batch, each once, whatever was stored before.
INSERT INTO results (request_id, wire_id, batch_id, result_type, raw, input_tokens, output_tokens, cache_read_tokens,
                     cache_write_tokens, cost_usd, synchronous_usd, received_at, answer_key, simulated, verdict)
SELECT DISTINCT ON (requests.request_id)
       requests.request_id, wire_id, requests.batch_id, result_type, raw, input_tokens, output_tokens,
       cache_read_tokens, cache_write_tokens, cost_usd, synchronous_usd, %(now)s, requests.answer_key, %(simulated)s, verdict
FROM arrived JOIN requests USING (wire_id)
WHERE requests.batch_id = %(batch_id)s
ORDER BY requests.request_id, (result_type = 'succeeded') DESC
ON CONFLICT DO NOTHING;
