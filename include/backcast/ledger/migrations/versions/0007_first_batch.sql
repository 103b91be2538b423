-- Until when it waits for the first batch of its run, which shows whether the configuration is right.
ALTER TABLE batches ADD COLUMN held_until timestamptz;

-- When it was handed over to be sent to people.
ALTER TABLE alerts ADD COLUMN told_at timestamptz;
UPDATE alerts SET told_at = raised_at;

-- The turns in which the model paused, oldest first, that a request goes on with.
CREATE FUNCTION paused_turns(of_request bigint) RETURNS json LANGUAGE sql STABLE BEGIN ATOMIC
    WITH RECURSIVE lineage AS (
        SELECT request_id, parent_id, remedy, cause, attempt FROM requests WHERE request_id = of_request
        UNION ALL
        SELECT above.request_id, above.parent_id, above.remedy, above.cause, above.attempt
        FROM lineage JOIN requests AS above ON above.request_id = lineage.parent_id
        -- These ask anew.
        WHERE lineage.remedy NOT IN ('worked_example', 'simplified_prompt', 'split')
    )
    SELECT json_agg(raw::json -> 'message' -> 'content' ORDER BY attempt)
    FROM lineage JOIN results USING (request_id)
    WHERE cause = 'paused' AND request_id <> of_request;
END;
