COPY arrived (wire_id, result_type, raw, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd,
              synchronous_usd, verdict, cause, detail) FROM STDIN;
