-- Answers may be files of tests, which are checked: what they may rely on, and what the checks have shown.
ALTER TABLE runs ADD COLUMN tests jsonb NOT NULL DEFAULT '{}';

CREATE TABLE outlines (
    run_id bigint PRIMARY KEY REFERENCES runs,
    outline jsonb NOT NULL
);

CREATE TABLE test_runs (
    run_id bigint NOT NULL REFERENCES runs,
    result_id bigint NOT NULL REFERENCES results,
    verdict text NOT NULL CHECK (verdict IN ('passed', 'failed', 'not_run')),
    detail text,
    passed integer,
    seconds double precision,
    checked_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, result_id),
    CHECK ((verdict = 'passed') = (detail IS NULL)),
    CHECK ((verdict = 'passed') = (passed IS NOT NULL))
);
CREATE INDEX failed_test_runs ON test_runs (result_id) WHERE verdict = 'failed';

DROP TRIGGER requests_transition ON requests;
CREATE TRIGGER requests_transition BEFORE UPDATE ON requests FOR EACH ROW
    EXECUTE FUNCTION refuse_illegal_transition('open>accepted', 'open>failed', 'accepted>failed');

CREATE FUNCTION require_failed_tests() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.cause <> 'failed_check' OR NOT EXISTS (
        SELECT FROM backcast.test_runs JOIN backcast.results USING (result_id)
        WHERE results.request_id = NEW.request_id AND test_runs.run_id = NEW.run_id AND test_runs.verdict = 'failed'
    ) THEN
        RAISE EXCEPTION 'request % was accepted and fails by no check', NEW.request_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER requests_fail_by_a_check BEFORE UPDATE ON requests FOR EACH ROW
    WHEN (OLD.state = 'accepted' AND NEW.state = 'failed') EXECUTE FUNCTION require_failed_tests();

CREATE OR REPLACE FUNCTION malformed_turn(of_request bigint) RETURNS json LANGUAGE sql STABLE BEGIN ATOMIC
    WITH RECURSIVE lineage AS (
        SELECT request_id, parent_id, cause, detail, attempt FROM requests WHERE request_id = of_request
        UNION ALL
        SELECT above.request_id, above.parent_id, above.cause, above.detail, above.attempt
        FROM lineage JOIN requests AS above ON above.request_id = lineage.parent_id
    )
    SELECT json_build_object('content', raw::json -> 'message' -> 'content', 'why', detail)
    FROM lineage JOIN results USING (request_id)
    WHERE cause IN ('malformed', 'failed_check') AND request_id <> of_request
    ORDER BY attempt DESC LIMIT 1;
END;
