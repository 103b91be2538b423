SET CONSTRAINTS ALL IMMEDIATE;
-- Which lines of its document it asks about; null: all of them.
ALTER TABLE requests ADD COLUMN part jsonb;
ALTER TABLE requests ADD COLUMN part_number integer NOT NULL DEFAULT 0 CHECK (part_number >= 0);

-- Its parts, where it was split, or else one.
DROP INDEX one_child_a_request;
CREATE UNIQUE INDEX one_child_a_request ON requests (parent_id, part_number) WHERE parent_id IS NOT NULL;
CREATE INDEX requests_by_document ON requests (document_id);

-- What was merged of parts, or adopted from another run, was paid for there.
ALTER TABLE results DROP CONSTRAINT result_of_a_batch_or_a_call;
ALTER TABLE results ADD CONSTRAINT result_of_a_batch_or_a_call CHECK (
    CASE WHEN result_type IN ('merged', 'adopted') THEN batch_id IS NULL AND wire_id IS NULL AND call_id IS NULL
         ELSE (batch_id IS NULL) = (wire_id IS NULL) AND (batch_id IS NULL) = (call_id IS NOT NULL) END);
ALTER TABLE results DROP CONSTRAINT results_check;
ALTER TABLE results ADD CONSTRAINT results_check CHECK (
    result_type = 'succeeded'
    OR (cost_usd = 0 AND (verdict IS DISTINCT FROM 'accepted' OR result_type IN ('merged', 'adopted'))));
