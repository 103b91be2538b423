-- Where a collection is copied to before it goes into the tables.
CREATE TEMPORARY TABLE collected (
    path text NOT NULL, language text NOT NULL, size bigint NOT NULL, content_hash text, answer_key text,
    reason text, body text, priority integer NOT NULL, prompt_bytes bigint NOT NULL,
    model text, max_tokens integer, pdf bytea
) ON COMMIT DROP;
