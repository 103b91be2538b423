ALTER TABLE runs ADD COLUMN rescue jsonb NOT NULL DEFAULT '{}';
ALTER TABLE runs ADD COLUMN max_usd numeric CHECK (max_usd >= 0);
ALTER TABLE runs ADD COLUMN max_usd_a_month numeric CHECK (max_usd_a_month >= 0);
ALTER TABLE runs ADD COLUMN rescuing_at timestamptz;
ALTER TABLE runs ADD COLUMN rescuing_key text;
ALTER TABLE runs ADD COLUMN interim boolean NOT NULL DEFAULT false;

ALTER TABLE batches ADD COLUMN cut_off_at timestamptz;
ALTER TABLE batches ADD COLUMN canceling_at timestamptz;

ALTER TABLE documents ADD COLUMN priority integer NOT NULL DEFAULT 0;
-- Bytes of the text as a prompt shows it, its lines numbered.
ALTER TABLE documents ADD COLUMN prompt_bytes bigint NOT NULL DEFAULT 0;
UPDATE documents SET prompt_bytes = octet_length(body) * 6 / 5
FROM contents WHERE contents.content_hash = documents.content_hash;

SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE requests ADD COLUMN synchronous boolean NOT NULL DEFAULT false;
ALTER TABLE requests ADD COLUMN reserved_usd numeric;
-- What calls and batches of it without a known end may have cost, in US$.
ALTER TABLE requests ADD COLUMN risked_usd numeric NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN left_because text;
ALTER TABLE requests ADD CONSTRAINT synchronous_is_in_no_batch CHECK (NOT synchronous OR batch_id IS NULL);
CREATE INDEX requests_by_lineage ON requests (run_id, answer_key);

-- Synchronous calls, each written before it is sent and after; one that has no known end may have been paid for.
CREATE TABLE calls (
    call_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id bigint NOT NULL REFERENCES requests,
    state text NOT NULL DEFAULT 'sent' CHECK (state IN ('sent', 'answered', 'refused', 'lost')),
    sent_at timestamptz NOT NULL,
    ended_at timestamptz,
    note text,
    CHECK ((state = 'sent') = (ended_at IS NULL)),
    CHECK ((state IN ('refused', 'lost')) = (note IS NOT NULL))
);
CREATE UNIQUE INDEX one_call_a_request ON calls (request_id) WHERE state IN ('sent', 'answered');
CREATE INDEX calls_by_request ON calls (request_id);
CREATE TRIGGER calls_transition BEFORE UPDATE ON calls FOR EACH ROW
    EXECUTE FUNCTION refuse_illegal_transition('sent>answered', 'sent>refused', 'sent>lost');

ALTER TABLE results ALTER COLUMN wire_id DROP NOT NULL;
ALTER TABLE results ALTER COLUMN batch_id DROP NOT NULL;
ALTER TABLE results ADD COLUMN call_id bigint UNIQUE REFERENCES calls;
ALTER TABLE results ADD CONSTRAINT result_of_a_batch_or_a_call CHECK (
    (batch_id IS NULL) = (wire_id IS NULL) AND (batch_id IS NULL) = (call_id IS NOT NULL));

-- Until when what a workspace may be asked synchronously has been given away, to whichever run.
CREATE TABLE synchronous_capacity (
    base_url text NOT NULL,
    key_fingerprint text NOT NULL,
    requests_free_at timestamptz NOT NULL,
    tokens_free_at timestamptz NOT NULL,
    PRIMARY KEY (base_url, key_fingerprint)
);
