ALTER TABLE prompt_versions ADD COLUMN simplified_template text NOT NULL DEFAULT '';
-- Worked examples by language: {"python": {"document": "…", "answer": "…"}}.
ALTER TABLE prompt_versions ADD COLUMN examples jsonb NOT NULL DEFAULT '{}';

SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE requests ADD COLUMN variant text NOT NULL DEFAULT 'standard'
    CHECK (variant IN ('standard', 'worked_example', 'simplified'));
