-- What is asked about may also be a diff that somebody waited for; it was answered before the ledger was told, and makes
-- no report here.
ALTER TABLE runs DROP CONSTRAINT runs_kind_check;
ALTER TABLE runs ADD CONSTRAINT runs_kind_check CHECK (kind IN ('documents', 'requests', 'sample', 'review'));
ALTER TABLE runs DROP CONSTRAINT runs_state_check;
ALTER TABLE runs ADD CONSTRAINT runs_state_check
    CHECK (state IN ('open', 'collected', 'published', 'estimated', 'scored', 'reviewed'));
ALTER TABLE runs DROP CONSTRAINT runs_check3;
ALTER TABLE runs ADD CONSTRAINT runs_check3
    CHECK (state NOT IN ('published', 'scored', 'reviewed') OR answered + reused + skipped + unanswered = collected);
ALTER TABLE runs DROP CONSTRAINT a_sample_is_scored;
ALTER TABLE runs ADD CONSTRAINT a_kind_has_its_end
    CHECK (state IN ('open', 'collected')
           OR CASE kind WHEN 'sample' THEN state = 'scored' WHEN 'review' THEN state = 'reviewed'
                        ELSE state IN ('published', 'estimated') END);
DROP TRIGGER runs_transition ON runs;
CREATE TRIGGER runs_transition BEFORE UPDATE ON runs FOR EACH ROW
    EXECUTE FUNCTION refuse_illegal_transition(
        'open>collected', 'collected>published', 'collected>estimated', 'collected>scored', 'collected>reviewed');
CREATE OR REPLACE FUNCTION require_outcomes_that_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    counted record;
BEGIN
    IF NEW.state IN ('published', 'scored', 'reviewed') THEN
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
