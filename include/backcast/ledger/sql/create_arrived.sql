-- Where result rows are copied to before they go into the tables.
CREATE TEMPORARY TABLE arrived (
    wire_id text NOT NULL, result_type text NOT NULL, raw text NOT NULL, input_tokens integer NOT NULL,
    output_tokens integer NOT NULL, cache_read_tokens integer NOT NULL, cache_write_tokens integer NOT NULL,
    cost_usd numeric NOT NULL, synchronous_usd numeric NOT NULL, verdict text, cause text, detail text
) ON COMMIT DROP;
