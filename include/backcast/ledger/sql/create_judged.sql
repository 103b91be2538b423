-- Where verdicts are copied to before they go into the tables.
CREATE TEMPORARY TABLE judged (
    result_id bigint NOT NULL, request_id bigint NOT NULL, verdict text NOT NULL, cause text, detail text
) ON COMMIT DROP;
