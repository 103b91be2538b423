ALTER TABLE runs ADD COLUMN canceled_at timestamptz;
ALTER TABLE runs ADD COLUMN held_because text;

ALTER TABLE batches ADD COLUMN cancel_requested_at timestamptz;
ALTER TABLE batches ADD COLUMN gone_at timestamptz;
ALTER TABLE batches ADD COLUMN empty_listings integer NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN empty_listing_at timestamptz;
ALTER TABLE batches DROP CONSTRAINT batches_state_check;
ALTER TABLE batches DROP CONSTRAINT batches_check;
ALTER TABLE batches DROP CONSTRAINT batches_check1;
ALTER TABLE batches DROP CONSTRAINT batches_check2;
ALTER TABLE batches DROP CONSTRAINT batches_check3;
ALTER TABLE batches ADD CHECK (state IN ('planned', 'intended', 'in_doubt', 'submitted', 'ended', 'ingested', 'refused',
                                         'not_arrived', 'given_up', 'withdrawn'));
ALTER TABLE batches ADD CONSTRAINT intent_is_whole CHECK (
    state IN ('planned', 'withdrawn')
    OR (base_url IS NOT NULL AND key_fingerprint IS NOT NULL AND server_time IS NOT NULL
        AND intended_at IS NOT NULL AND send_by IS NOT NULL));
ALTER TABLE batches ADD CONSTRAINT sent_batch_has_an_id CHECK (
    CASE WHEN state IN ('submitted', 'ended', 'ingested') THEN api_batch_id IS NOT NULL
         ELSE api_batch_id IS NULL OR state = 'given_up' END);
ALTER TABLE batches ADD CONSTRAINT hold_has_a_reason CHECK (
    state NOT IN ('refused', 'in_doubt', 'not_arrived', 'given_up', 'withdrawn') OR note IS NOT NULL);
ALTER TABLE batches ADD CONSTRAINT rows_add_up CHECK (
    state <> 'ingested' OR succeeded + errored + canceled + expired + missing = request_count);
DROP INDEX one_live_batch_a_place;
CREATE UNIQUE INDEX one_live_batch_a_place ON batches (run_id, round, position)
    WHERE state NOT IN ('refused', 'not_arrived', 'given_up');
CREATE UNIQUE INDEX one_unresolved_intent_a_size ON batches (base_url, key_fingerprint, request_count)
    WHERE state IN ('intended', 'in_doubt');
DROP TRIGGER batches_transition ON batches;
CREATE TRIGGER batches_transition BEFORE UPDATE ON batches FOR EACH ROW
    EXECUTE FUNCTION refuse_illegal_transition(
        'planned>intended', 'planned>withdrawn', 'intended>submitted', 'intended>refused', 'intended>in_doubt',
        'in_doubt>submitted', 'in_doubt>not_arrived', 'in_doubt>given_up', 'not_arrived>submitted',
        'submitted>ended', 'submitted>given_up', 'ended>ingested', 'ended>given_up');

-- Batches that a listing showed and that are not known to be ours: one of them may be what became of an intent.
CREATE TABLE sightings (
    api_batch_id text PRIMARY KEY,
    base_url text NOT NULL,
    key_fingerprint text NOT NULL,
    created_at timestamptz NOT NULL,
    request_count integer NOT NULL,
    times_seen integer NOT NULL DEFAULT 1,
    ended boolean NOT NULL,
    verdict text CHECK (verdict IN ('ours', 'second', 'stranger')),
    batch_id bigint REFERENCES batches,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    row_count integer,
    cost_usd numeric,
    CHECK ((verdict IS NOT DISTINCT FROM 'stranger' OR verdict IS NULL) = (batch_id IS NULL))
);

-- Result rows of a second batch for one intent, which were paid for and are not needed.
CREATE TABLE spare_results (
    api_batch_id text NOT NULL REFERENCES sightings,
    wire_id text NOT NULL,
    result_type text NOT NULL,
    raw text NOT NULL,
    cost_usd numeric NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (api_batch_id, wire_id)
);

-- What a person should look at, said once for each kind and subject.
CREATE TABLE alerts (
    alert_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    subject text NOT NULL,
    run_id bigint REFERENCES runs,
    batch_id bigint REFERENCES batches,
    message text NOT NULL,
    raised_at timestamptz NOT NULL,
    UNIQUE (kind, subject)
);
