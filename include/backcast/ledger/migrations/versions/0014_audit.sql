-- A model with tools holds findings against the repository, and reports say what came of it.
CREATE TABLE finding_checks (
    check_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES runs,
    check_key text NOT NULL,
    fingerprint text NOT NULL,
    content_hash text NOT NULL REFERENCES contents,
    prompt_hash text NOT NULL,
    model text NOT NULL,
    state text NOT NULL DEFAULT 'sent' CHECK (state IN ('sent', 'judged', 'failed', 'lost')),
    sent_at timestamptz NOT NULL,
    ended_at timestamptz,
    reserved_usd numeric,
    cost_usd numeric NOT NULL DEFAULT 0,
    risked_usd numeric NOT NULL DEFAULT 0,
    turns integer NOT NULL DEFAULT 0,
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    verdict text CHECK (verdict IN ('verified', 'refuted', 'unclear')),
    note text,
    evidence jsonb NOT NULL DEFAULT '[]',
    CHECK ((state = 'sent') = (ended_at IS NULL)),
    CHECK ((state = 'sent') = (reserved_usd IS NOT NULL)),
    CHECK ((state = 'sent') = (note IS NULL)),
    CHECK ((state = 'judged') = (verdict IS NOT NULL)),
    UNIQUE (check_id, state)
);
CREATE UNIQUE INDEX one_check_a_finding ON finding_checks (check_key) WHERE state IN ('sent', 'judged');
CREATE INDEX finding_checks_by_key ON finding_checks (check_key);
CREATE INDEX finding_checks_by_run ON finding_checks (run_id);
CREATE TRIGGER finding_checks_transition BEFORE UPDATE ON finding_checks FOR EACH ROW
    EXECUTE FUNCTION refuse_illegal_transition('sent>judged', 'sent>failed', 'sent>lost');
CREATE TABLE checked_findings (
    run_id bigint NOT NULL REFERENCES runs,
    fingerprint text NOT NULL,
    check_id bigint,
    check_state text GENERATED ALWAYS AS (CASE WHEN check_id IS NOT NULL THEN 'judged' END) STORED,
    note text,
    PRIMARY KEY (run_id, fingerprint),
    FOREIGN KEY (check_id, check_state) REFERENCES finding_checks (check_id, state),
    CHECK ((check_id IS NULL) = (note IS NOT NULL))
);
