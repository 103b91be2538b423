-- Stores the answer to a synchronous call, judged.
INSERT INTO results (request_id, call_id, result_type, raw, input_tokens, output_tokens, cache_read_tokens,
                     cache_write_tokens, cost_usd, synchronous_usd, received_at, verdict, answer_key, simulated)
SELECT request_id, %(call_id)s, %(result_type)s, %(raw)s, %(input_tokens)s, %(output_tokens)s, %(cache_read_tokens)s,
       %(cache_write_tokens)s, %(cost_usd)s, %(cost_usd)s, %(now)s, %(verdict)s, answer_key, simulated
FROM requests WHERE request_id = %(request_id)s;
