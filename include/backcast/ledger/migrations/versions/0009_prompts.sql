-- What is asked about: the documents of a workflow, requests that bring their own parameters, or a sample.
ALTER TABLE runs DROP CONSTRAINT runs_kind_check;
ALTER TABLE runs ADD CONSTRAINT runs_kind_check CHECK (kind IN ('documents', 'requests', 'sample'));

-- A sample makes no report: it ends when it is scored.
ALTER TABLE runs DROP CONSTRAINT runs_state_check;
ALTER TABLE runs ADD CONSTRAINT runs_state_check
    CHECK (state IN ('open', 'collected', 'published', 'estimated', 'scored'));
ALTER TABLE runs DROP CONSTRAINT runs_check3;
ALTER TABLE runs ADD CONSTRAINT runs_check3
    CHECK (state NOT IN ('published', 'scored') OR answered + reused + skipped + unanswered = collected);
ALTER TABLE runs ADD CONSTRAINT a_sample_is_scored
    CHECK (CASE kind WHEN 'sample' THEN state NOT IN ('published', 'estimated') ELSE state <> 'scored' END);
DROP TRIGGER runs_transition ON runs;
CREATE TRIGGER runs_transition BEFORE UPDATE ON runs FOR EACH ROW
    EXECUTE FUNCTION refuse_illegal_transition(
        'open>collected', 'collected>published', 'collected>estimated', 'collected>scored');
CREATE OR REPLACE FUNCTION require_outcomes_that_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    counted record;
BEGIN
    IF NEW.state IN ('published', 'scored') THEN
        SELECT count(*) AS collected,
               count(*) FILTER (WHERE outcome = 'answered') AS answered,
               count(*) FILTER (WHERE outcome = 'reused') AS reused,
               count(*) FILTER (WHERE outcome = 'skipped') AS skipped,
               count(*) FILTER (WHERE outcome = 'unanswered') AS unanswered
        INTO counted FROM backcast.documents WHERE run_id = NEW.run_id;
        IF (counted.collected, counted.answered, counted.reused, counted.skipped, counted.unanswered)
            IS DISTINCT FROM
           (NEW.collected::bigint, NEW.answered::bigint, NEW.reused::bigint, NEW.skipped::bigint,
            NEW.unanswered::bigint) THEN
            RAISE EXCEPTION 'the outcomes of run % do not add up to its documents: %', NEW.run_id, counted
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NULL;
END
$$;

-- How its prompt is proved on a sample before anything is submitted; {} as usual.
ALTER TABLE runs ADD COLUMN sample jsonb NOT NULL DEFAULT '{}';
-- Who lets it go on although the sample says otherwise, and why: {"by": "…", "why": "…"}.
ALTER TABLE runs ADD COLUMN let_pass jsonb;
-- For how long the API is to keep what all requests share; null: it is not worth it.
ALTER TABLE runs ADD COLUMN cache_ttl text CHECK (cache_ttl IN ('5m', '1h'));
-- Why so, in a sentence; null: that was not decided.
ALTER TABLE runs ADD COLUMN caching text;

-- Whether it belongs to the sample that its run's prompt is proved on.
ALTER TABLE requests ADD COLUMN sampled boolean NOT NULL DEFAULT false;

-- What the sample of a run has shown of its prompt, before anything was submitted. A pass holds for the same prompt and
-- model until it is revoked.
CREATE TABLE gates (
    run_id bigint PRIMARY KEY REFERENCES runs,
    opened_at timestamptz NOT NULL,
    judged_at timestamptz,
    verdict text CHECK (verdict IN ('passed', 'failed', 'let_pass')),
    scores jsonb,
    decided_by text,
    why text,
    revoked_at timestamptz,
    CHECK ((verdict IS NULL) = (judged_at IS NULL)),
    CHECK ((verdict IS NULL) = (scores IS NULL)),
    CHECK (verdict IS DISTINCT FROM 'let_pass' OR (decided_by IS NOT NULL AND why IS NOT NULL)),
    CHECK (revoked_at IS NULL OR verdict = 'passed')
);

-- Which version of a workflow's prompt is active: the last one promoted, unless its files declare another since.
CREATE TABLE promotions (
    promotion_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow text NOT NULL,
    prompt_hash text NOT NULL REFERENCES prompt_versions,
    -- What the workflow's files declared then.
    declared_hash text NOT NULL,
    promoted_at timestamptz NOT NULL,
    promoted_by text NOT NULL,
    why text NOT NULL,
    scores jsonb
);
CREATE INDEX promotions_by_workflow ON promotions (workflow, promotion_id);
