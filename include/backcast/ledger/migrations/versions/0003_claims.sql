ALTER TABLE runs ADD COLUMN left_at timestamptz;
ALTER TABLE runs ADD COLUMN idle_since timestamptz;

SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE requests ADD COLUMN simulated boolean;
ALTER TABLE requests ADD COLUMN claims boolean NOT NULL DEFAULT false;
UPDATE requests SET simulated = runs.simulated FROM runs WHERE runs.run_id = requests.run_id;
-- Of runs that overlap already, the first one claims.
UPDATE requests SET claims = true
WHERE request_id IN (
    SELECT DISTINCT ON (answer_key, runs.simulated) request_id
    FROM requests JOIN runs USING (run_id)
    WHERE runs.state = 'collected' AND NOT dry_run AND canceled_at IS NULL AND requests.state <> 'accepted'
      AND NOT EXISTS (SELECT FROM requests AS child WHERE child.parent_id = requests.request_id)
    ORDER BY answer_key, runs.simulated, request_id);
ALTER TABLE requests ALTER COLUMN simulated SET NOT NULL;
ALTER TABLE requests ALTER COLUMN claims DROP DEFAULT;
ALTER TABLE requests ADD CONSTRAINT answered_claims_nothing CHECK (NOT claims OR state <> 'accepted');
-- A content is asked for by one run at a time, from when its request is made until it is answered or given up.
CREATE UNIQUE INDEX one_claim_a_content ON requests (answer_key, simulated) WHERE claims;
CREATE FUNCTION require_claims_of_intent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM backcast.requests WHERE batch_id = NEW.batch_id AND NOT claims) THEN
        RAISE EXCEPTION 'batch % holds requests that another run may have claimed', NEW.batch_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER batches_claim BEFORE UPDATE ON batches FOR EACH ROW
    WHEN (NEW.state = 'intended' AND OLD.state <> 'intended') EXECUTE FUNCTION require_claims_of_intent();
