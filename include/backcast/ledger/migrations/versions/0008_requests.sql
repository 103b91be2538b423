-- What is asked about: the documents of a workflow, or requests that bring their own parameters.
ALTER TABLE runs ADD COLUMN kind text NOT NULL DEFAULT 'documents' CHECK (kind IN ('documents', 'requests'));

-- Of a request that brings its own parameters.
ALTER TABLE documents ADD COLUMN model text;
ALTER TABLE documents ADD COLUMN max_tokens integer CHECK (max_tokens > 0);

ALTER TABLE requests DROP CONSTRAINT requests_variant_check;
ALTER TABLE requests ADD CONSTRAINT requests_variant_check
    CHECK (variant IN ('standard', 'worked_example', 'simplified', 'repair'));

-- The last answer before a request that did not fit its schema, and why.
CREATE FUNCTION malformed_turn(of_request bigint) RETURNS json LANGUAGE sql STABLE BEGIN ATOMIC
    WITH RECURSIVE lineage AS (
        SELECT request_id, parent_id, cause, detail, attempt FROM requests WHERE request_id = of_request
        UNION ALL
        SELECT above.request_id, above.parent_id, above.cause, above.detail, above.attempt
        FROM lineage JOIN requests AS above ON above.request_id = lineage.parent_id
    )
    SELECT json_build_object('content', raw::json -> 'message' -> 'content', 'why', detail)
    FROM lineage JOIN results USING (request_id)
    WHERE cause = 'malformed' AND request_id <> of_request
    ORDER BY attempt DESC LIMIT 1;
END;
