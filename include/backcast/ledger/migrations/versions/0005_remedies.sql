ALTER TABLE prompt_versions ADD COLUMN simplified_template text NOT NULL DEFAULT '';
-- Worked examples by language: {"python": {"document": "…", "answer": "…"}}.
ALTER TABLE prompt_versions ADD COLUMN examples jsonb NOT NULL DEFAULT '{}';

ALTER TABLE runs ADD COLUMN structured boolean NOT NULL DEFAULT false;
ALTER TABLE runs ADD COLUMN max_usd_for_retries numeric CHECK (max_usd_for_retries >= 0);

SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE requests ADD COLUMN variant text NOT NULL DEFAULT 'standard'
    CHECK (variant IN ('standard', 'worked_example', 'simplified'));

-- What was given up although it does not pass by itself: not asked again until somebody says so, or its content, prompt
-- or model changes.
CREATE TABLE review_lane (
    item_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES runs,
    document_id bigint NOT NULL UNIQUE REFERENCES documents,
    answer_key text NOT NULL,
    simulated boolean NOT NULL,
    cause text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'retry', 'dismissed')),
    opened_at timestamptz NOT NULL,
    decided_at timestamptz,
    note text,
    CHECK ((state = 'open') = (decided_at IS NULL))
);
CREATE UNIQUE INDEX one_item_a_content ON review_lane (answer_key, simulated) WHERE state <> 'retry';
CREATE TRIGGER review_lane_transition BEFORE UPDATE ON review_lane FOR EACH ROW
    EXECUTE FUNCTION refuse_illegal_transition('open>retry', 'open>dismissed', 'dismissed>retry');
