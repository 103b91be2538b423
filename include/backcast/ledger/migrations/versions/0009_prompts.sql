-- What is asked about: the documents of a workflow, requests that bring their own parameters, or a sample.
ALTER TABLE runs DROP CONSTRAINT runs_kind_check;
ALTER TABLE runs ADD CONSTRAINT runs_kind_check CHECK (kind IN ('documents', 'requests', 'sample'));

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
