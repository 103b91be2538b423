-- The ledger as it stands when every migration is applied. Constraints carry the invariants, so that no code can
-- break them. A test compares this file with the migrations.

CREATE SCHEMA IF NOT EXISTS backcast;
SET search_path = backcast;

CREATE FUNCTION refuse_illegal_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND NOT (OLD.state || '>' || NEW.state = ANY (TG_ARGV)) THEN
        RAISE EXCEPTION '% cannot go from % to %', TG_TABLE_NAME, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION wire_id(slug text, answer_key text, round integer, nonce text, "position" integer) RETURNS text
    LANGUAGE sql IMMUTABLE RETURN slug || '-' || left(answer_key, 8) || '-r' || round || '-' || nonce || '-' || "position";

CREATE TABLE prompt_versions (
    prompt_hash text PRIMARY KEY,
    workflow text NOT NULL,
    version text NOT NULL,
    system_template text NOT NULL,
    document_template text NOT NULL,
    answer_schema text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    simplified_template text NOT NULL DEFAULT '',
    -- Worked examples by language: {"python": {"document": "…", "answer": "…"}}.
    examples jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE runs (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow text NOT NULL,
    external_key text NOT NULL UNIQUE,
    state text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'collected', 'published', 'estimated', 'scored', 'reviewed')),
    repository text NOT NULL,
    ref text NOT NULL,
    commit_id text,
    committed_at timestamptz,
    model text NOT NULL,
    prompt_hash text NOT NULL REFERENCES prompt_versions,
    max_tokens integer NOT NULL CHECK (max_tokens > 0),
    selection jsonb NOT NULL,
    dry_run boolean NOT NULL,
    full_run boolean NOT NULL,
    simulated boolean NOT NULL,
    base_url text NOT NULL,
    opened_at timestamptz NOT NULL,
    deadline timestamptz NOT NULL,
    collected integer,
    estimated_requests integer,
    estimated_usd numeric,
    answered integer,
    reused integer,
    skipped integer,
    unanswered integer,
    published_at timestamptz,
    report_path text,
    canceled_at timestamptz,
    held_because text,
    left_at timestamptz,
    idle_since timestamptz,
    rescue jsonb NOT NULL DEFAULT '{}',
    max_usd numeric CHECK (max_usd >= 0),
    max_usd_a_month numeric CHECK (max_usd_a_month >= 0),
    rescuing_at timestamptz,
    rescuing_key text,
    interim boolean NOT NULL DEFAULT false,
    structured boolean NOT NULL DEFAULT false,
    max_usd_for_retries numeric CHECK (max_usd_for_retries >= 0),
    -- What is asked about: the documents of a workflow, requests that bring their own parameters, a sample, or a diff.
    kind text NOT NULL DEFAULT 'documents' CHECK (kind IN ('documents', 'requests', 'sample', 'review')),
    -- How its prompt is proved on a sample before anything is submitted; {} as usual.
    sample jsonb NOT NULL DEFAULT '{}',
    -- Who lets it go on although the sample says otherwise, and why: {"by": "…", "why": "…"}.
    let_pass jsonb,
    -- For how long the API is to keep what all requests share; null: it is not worth it.
    cache_ttl text CHECK (cache_ttl IN ('5m', '1h')),
    -- Why so, in a sentence; null: that was not decided.
    caching text,
    -- What the repository is, which for the others is a path or a URL.
    source text NOT NULL DEFAULT 'git' CHECK (source IN ('git', 'folder', 'object_store')),
    -- How tests that are proposed are checked; {} as usual.
    tests jsonb NOT NULL DEFAULT '{}',
    CHECK (deadline > opened_at),
    CHECK (state = 'open' OR (commit_id IS NOT NULL AND committed_at IS NOT NULL AND collected IS NOT NULL)),
    CHECK (state <> 'published' OR (published_at IS NOT NULL AND report_path IS NOT NULL)),
    CHECK (state NOT IN ('published', 'scored', 'reviewed') OR answered + reused + skipped + unanswered = collected),
    -- A sample makes no report: it ends when it is scored; nor does a review, which was given before it was written down.
    CONSTRAINT a_kind_has_its_end
        CHECK (state IN ('open', 'collected')
               OR CASE kind WHEN 'sample' THEN state = 'scored' WHEN 'review' THEN state = 'reviewed'
                            ELSE state IN ('published', 'estimated') END)
);
CREATE INDEX runs_by_repository ON runs (workflow, repository, published_at);
CREATE TRIGGER runs_transition BEFORE UPDATE ON runs FOR EACH ROW
    EXECUTE FUNCTION refuse_illegal_transition(
        'open>collected', 'collected>published', 'collected>estimated', 'collected>scored', 'collected>reviewed');

CREATE TABLE contents (
    content_hash text PRIMARY KEY,
    body text NOT NULL,
    -- Of a PDF the file; the body is its text layer.
    pdf bytea
);

-- What contents were found to say to the model that no document has to say, and on which line first; null: nothing. Each is
-- searched once, however many runs have it.
CREATE TABLE addressings (
    content_hash text PRIMARY KEY REFERENCES contents,
    -- By which search; another one finds something else.
    searched_by text NOT NULL,
    line integer CHECK (line > 0),
    what text,
    CHECK ((line IS NULL) = (what IS NULL))
);

CREATE TABLE batches (
    batch_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES runs,
    round integer NOT NULL CHECK (round > 0),
    position integer NOT NULL CHECK (position >= 0),
    replaces bigint UNIQUE REFERENCES batches,
    state text NOT NULL DEFAULT 'planned'
        CHECK (state IN ('planned', 'intended', 'in_doubt', 'submitted', 'ended', 'ingested', 'refused',
                         'not_arrived', 'given_up', 'withdrawn')),
    nonce text NOT NULL UNIQUE,
    request_count integer NOT NULL CHECK (request_count > 0),
    base_url text,
    key_fingerprint text,
    server_time timestamptz,
    intended_at timestamptz,
    send_by timestamptz,
    note text,
    api_batch_id text UNIQUE,
    submitted_at timestamptz,
    expires_at timestamptz,
    ended_at timestamptz,
    succeeded integer,
    errored integer,
    canceled integer,
    expired integer,
    missing integer,
    unknown_rows integer,
    ingested_at timestamptz,
    cancel_requested_at timestamptz,
    gone_at timestamptz,
    empty_listings integer NOT NULL DEFAULT 0,
    empty_listing_at timestamptz,
    cut_off_at timestamptz,
    canceling_at timestamptz,
    -- Until when it waits for the first batch of its run, which shows whether the configuration is right.
    held_until timestamptz,
    CONSTRAINT intent_is_whole CHECK (
        state IN ('planned', 'withdrawn')
        OR (base_url IS NOT NULL AND key_fingerprint IS NOT NULL AND server_time IS NOT NULL
            AND intended_at IS NOT NULL AND send_by IS NOT NULL)),
    CONSTRAINT sent_batch_has_an_id CHECK (
        CASE WHEN state IN ('submitted', 'ended', 'ingested') THEN api_batch_id IS NOT NULL
             ELSE api_batch_id IS NULL OR state = 'given_up' END),
    CONSTRAINT hold_has_a_reason CHECK (
        state NOT IN ('refused', 'in_doubt', 'not_arrived', 'given_up', 'withdrawn') OR note IS NOT NULL),
    CONSTRAINT rows_add_up CHECK (
        state <> 'ingested' OR succeeded + errored + canceled + expired + missing = request_count)
);
CREATE UNIQUE INDEX one_live_batch_a_place ON batches (run_id, round, position)
    WHERE state NOT IN ('refused', 'not_arrived', 'given_up');
-- A batch of a known size that runs can only be followed to its intent while no other intent has that size.
CREATE UNIQUE INDEX one_unresolved_intent_a_size ON batches (base_url, key_fingerprint, request_count)
    WHERE state IN ('intended', 'in_doubt');
CREATE TRIGGER batches_transition BEFORE UPDATE ON batches FOR EACH ROW
    EXECUTE FUNCTION refuse_illegal_transition(
        'planned>intended', 'planned>withdrawn', 'intended>submitted', 'intended>refused', 'intended>in_doubt',
        'in_doubt>submitted', 'in_doubt>not_arrived', 'in_doubt>given_up', 'not_arrived>submitted',
        'submitted>ended', 'submitted>given_up', 'ended>ingested', 'ended>given_up');

CREATE TABLE documents (
    document_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES runs,
    path text NOT NULL,
    language text NOT NULL,
    size bigint NOT NULL,
    content_hash text REFERENCES contents,
    answer_key text,
    outcome text CHECK (outcome IN ('answered', 'reused', 'skipped', 'unanswered')),
    reason text,
    result_id bigint,
    priority integer NOT NULL DEFAULT 0,
    -- Bytes of the text as a prompt shows it, its lines numbered.
    prompt_bytes bigint NOT NULL DEFAULT 0,
    -- Of a request that brings its own parameters.
    model text,
    max_tokens integer CHECK (max_tokens > 0),
    UNIQUE (run_id, path),
    CHECK ((content_hash IS NULL) = (answer_key IS NULL)),
    CHECK (content_hash IS NOT NULL OR outcome = 'skipped'),
    CHECK (outcome IS NULL OR (outcome IN ('answered', 'reused')) = (result_id IS NOT NULL)),
    CHECK (outcome IS NULL OR (outcome IN ('skipped', 'unanswered')) = (reason IS NOT NULL))
);
CREATE INDEX documents_by_answer ON documents (run_id, answer_key);
CREATE INDEX documents_by_result ON documents (result_id) WHERE result_id IS NOT NULL;

CREATE TABLE requests (
    request_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES runs,
    document_id bigint NOT NULL REFERENCES documents,
    answer_key text NOT NULL,
    parent_id bigint,
    parent_state text GENERATED ALWAYS AS (CASE WHEN parent_id IS NOT NULL THEN 'failed' END) STORED,
    attempt integer NOT NULL DEFAULT 1,
    round integer NOT NULL CHECK (round > 0),
    remedy text,
    max_tokens integer NOT NULL CHECK (max_tokens > 0),
    batch_id bigint REFERENCES batches,
    position integer,
    wire_id text UNIQUE CHECK (wire_id ~ '^[a-zA-Z0-9_-]{1,64}$'),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'failed')),
    cause text,
    detail text,
    simulated boolean NOT NULL,
    claims boolean NOT NULL,
    synchronous boolean NOT NULL DEFAULT false,
    reserved_usd numeric,
    -- What calls and batches of it without a known end may have cost, in US$.
    risked_usd numeric NOT NULL DEFAULT 0,
    left_because text,
    variant text NOT NULL DEFAULT 'standard' CHECK (variant IN ('standard', 'worked_example', 'simplified', 'repair')),
    -- Which lines of its document it asks about; null: all of them.
    part jsonb,
    part_number integer NOT NULL DEFAULT 0 CHECK (part_number >= 0),
    -- Whether it belongs to the sample that its run's prompt is proved on.
    sampled boolean NOT NULL DEFAULT false,
    UNIQUE (request_id, state),
    UNIQUE (batch_id, position),
    -- A child exists only when its parent has failed, which it does only by a stored result; and it stays failed.
    FOREIGN KEY (parent_id, parent_state) REFERENCES requests (request_id, state),
    CHECK ((parent_id IS NULL) = (attempt = 1)),
    CHECK ((parent_id IS NULL) = (remedy IS NULL)),
    CHECK ((batch_id IS NULL) = (wire_id IS NULL)),
    CHECK ((batch_id IS NULL) = (position IS NULL)),
    CHECK ((state = 'failed') = (cause IS NOT NULL)),
    CONSTRAINT answered_claims_nothing CHECK (NOT claims OR state <> 'accepted'),
    CONSTRAINT synchronous_is_in_no_batch CHECK (NOT synchronous OR batch_id IS NULL)
);
CREATE UNIQUE INDEX one_root_a_document ON requests (run_id, answer_key) WHERE parent_id IS NULL;
-- Its parts, where it was split, or else one.
CREATE UNIQUE INDEX one_child_a_request ON requests (parent_id, part_number) WHERE parent_id IS NOT NULL;
CREATE INDEX requests_by_lineage ON requests (run_id, answer_key);
CREATE INDEX requests_by_document ON requests (document_id);
CREATE INDEX requests_by_run ON requests (run_id, round, state);
-- A content is asked for by one run at a time, from when its request is made until it is answered or given up.
CREATE UNIQUE INDEX one_claim_a_content ON requests (answer_key, simulated) WHERE claims;
CREATE TRIGGER requests_transition BEFORE UPDATE ON requests FOR EACH ROW
    EXECUTE FUNCTION refuse_illegal_transition('open>accepted', 'open>failed', 'accepted>failed');

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

CREATE TABLE results (
    result_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id bigint NOT NULL UNIQUE REFERENCES requests,
    wire_id text UNIQUE REFERENCES requests (wire_id),
    batch_id bigint REFERENCES batches,
    result_type text NOT NULL,
    raw text NOT NULL,
    input_tokens integer NOT NULL DEFAULT 0,
    output_tokens integer NOT NULL DEFAULT 0,
    cache_read_tokens integer NOT NULL DEFAULT 0,
    cache_write_tokens integer NOT NULL DEFAULT 0,
    cost_usd numeric NOT NULL DEFAULT 0,
    synchronous_usd numeric NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL,
    verdict text CHECK (verdict IN ('accepted', 'rejected')),
    answer_key text NOT NULL,
    simulated boolean NOT NULL,
    call_id bigint UNIQUE REFERENCES calls,
    CONSTRAINT result_of_a_batch_or_a_call CHECK (
        CASE WHEN result_type IN ('merged', 'adopted') THEN batch_id IS NULL AND wire_id IS NULL AND call_id IS NULL
             ELSE (batch_id IS NULL) = (wire_id IS NULL) AND (batch_id IS NULL) = (call_id IS NOT NULL) END),
    -- What was merged of parts, or adopted from another run, was paid for there.
    CHECK (result_type = 'succeeded'
           OR (cost_usd = 0 AND (verdict IS DISTINCT FROM 'accepted' OR result_type IN ('merged', 'adopted'))))
);
CREATE INDEX results_unjudged ON results (batch_id) WHERE verdict IS NULL;
CREATE INDEX accepted_answers ON results (answer_key) WHERE verdict = 'accepted';
ALTER TABLE documents ADD FOREIGN KEY (result_id) REFERENCES results;

-- The turns in which the model paused, oldest first, that a request goes on with.
CREATE FUNCTION paused_turns(of_request bigint) RETURNS json LANGUAGE sql STABLE BEGIN ATOMIC
    WITH RECURSIVE lineage AS (
        SELECT request_id, parent_id, remedy, cause, attempt FROM requests WHERE request_id = of_request
        UNION ALL
        SELECT above.request_id, above.parent_id, above.remedy, above.cause, above.attempt
        FROM lineage JOIN requests AS above ON above.request_id = lineage.parent_id
        -- These ask anew.
        WHERE lineage.remedy NOT IN ('worked_example', 'simplified_prompt', 'split')
    )
    SELECT json_agg(raw::json -> 'message' -> 'content' ORDER BY attempt)
    FROM lineage JOIN results USING (request_id)
    WHERE cause = 'paused' AND request_id <> of_request;
END;

-- The last answer before a request that did not fit its schema, or failed a check, and why.
CREATE FUNCTION malformed_turn(of_request bigint) RETURNS json LANGUAGE sql STABLE BEGIN ATOMIC
    WITH RECURSIVE lineage AS (
        SELECT request_id, parent_id, cause, detail, attempt FROM requests WHERE request_id = of_request
        UNION ALL
        SELECT above.request_id, above.parent_id, above.cause, above.detail, above.attempt
        FROM lineage JOIN requests AS above ON above.request_id = lineage.parent_id
    )
    SELECT json_build_object('content', raw::json -> 'message' -> 'content', 'why', detail)
    FROM lineage JOIN results USING (request_id)
    WHERE cause IN ('malformed', 'failed_check') AND request_id <> of_request
    ORDER BY attempt DESC LIMIT 1;
END;

CREATE FUNCTION require_result_of_settled_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'open' AND NOT EXISTS (
        SELECT FROM backcast.results
        WHERE request_id = NEW.request_id
          AND verdict = CASE NEW.state WHEN 'accepted' THEN 'accepted' ELSE 'rejected' END
    ) THEN
        RAISE EXCEPTION 'request % cannot be % without a stored result that says so', NEW.request_id, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER requests_have_results AFTER INSERT OR UPDATE ON requests DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION require_result_of_settled_request();

-- What the repository of a run held at its commit, as far as proposed tests may rely on it: paths, names, distributions.
CREATE TABLE outlines (
    run_id bigint PRIMARY KEY REFERENCES runs,
    outline jsonb NOT NULL
);

-- What checks of answers have shown beside what is seen of them when they arrive: each is checked once a run.
CREATE TABLE test_runs (
    run_id bigint NOT NULL REFERENCES runs,
    result_id bigint NOT NULL REFERENCES results,
    verdict text NOT NULL CHECK (verdict IN ('passed', 'failed', 'not_run')),
    -- Why it failed, or was not run.
    detail text,
    -- How many tests have passed.
    passed integer,
    seconds double precision,
    checked_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, result_id),
    CHECK ((verdict = 'passed') = (detail IS NULL)),
    CHECK ((verdict = 'passed') = (passed IS NOT NULL))
);
-- No other run takes over what has failed once.
CREATE INDEX failed_test_runs ON test_runs (result_id) WHERE verdict = 'failed';

-- What was accepted fails later only by a check that is written down.
CREATE FUNCTION require_failed_tests() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.cause <> 'failed_check' OR NOT EXISTS (
        SELECT FROM backcast.test_runs JOIN backcast.results USING (result_id)
        WHERE results.request_id = NEW.request_id AND test_runs.run_id = NEW.run_id AND test_runs.verdict = 'failed'
    ) THEN
        RAISE EXCEPTION 'request % was accepted and fails by no check', NEW.request_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER requests_fail_by_a_check BEFORE UPDATE ON requests FOR EACH ROW
    WHEN (OLD.state = 'accepted' AND NEW.state = 'failed') EXECUTE FUNCTION require_failed_tests();

-- Until when what a workspace may be asked synchronously has been given away, to whichever run.
CREATE TABLE synchronous_capacity (
    base_url text NOT NULL,
    key_fingerprint text NOT NULL,
    requests_free_at timestamptz NOT NULL,
    tokens_free_at timestamptz NOT NULL,
    PRIMARY KEY (base_url, key_fingerprint)
);

CREATE TABLE unknown_rows (
    batch_id bigint NOT NULL REFERENCES batches,
    row_hash text NOT NULL,
    raw text NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (batch_id, row_hash)
);

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
    -- When it was handed over to be sent to people.
    told_at timestamptz,
    UNIQUE (kind, subject)
);

CREATE TABLE findings (
    run_id bigint NOT NULL REFERENCES runs,
    fingerprint text NOT NULL,
    document_id bigint NOT NULL REFERENCES documents,
    line_start integer NOT NULL,
    line_end integer NOT NULL,
    category text NOT NULL,
    severity text NOT NULL,
    effort text NOT NULL,
    title text NOT NULL,
    why text NOT NULL,
    suggestion text NOT NULL,
    evidence text NOT NULL,
    PRIMARY KEY (run_id, fingerprint),
    CHECK (line_start BETWEEN 1 AND line_end)
);

-- What documents were found to say, by the schema of their workflow: written by the first run that publishes it, so that
-- each is there once.
CREATE TABLE extracted_rows (
    run_id bigint NOT NULL REFERENCES runs,
    document_id bigint NOT NULL REFERENCES documents,
    position integer NOT NULL CHECK (position > 0),
    "row" jsonb NOT NULL,
    -- Whether all that it quotes was found in the document; what stands on a page without text cannot be.
    verified boolean NOT NULL,
    PRIMARY KEY (run_id, document_id, position)
);

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

CREATE FUNCTION require_outcomes_that_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE CONSTRAINT TRIGGER runs_add_up AFTER INSERT OR UPDATE ON runs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION require_outcomes_that_add_up();

-- Conversations in which a finding was held against the repository, each written before it is begun and after. What was
-- judged is not asked again for the same content, prompt and model.
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
    -- The most that it may cost, as long as nobody knows what it does.
    reserved_usd numeric,
    cost_usd numeric NOT NULL DEFAULT 0,
    -- What a part of it without a known end may have cost, in US$.
    risked_usd numeric NOT NULL DEFAULT 0,
    turns integer NOT NULL DEFAULT 0,
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    verdict text CHECK (verdict IN ('verified', 'refuted', 'unclear')),
    -- The reason of the verdict, or why there is none.
    note text,
    -- What was quoted for it and stands in the repository.
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

-- What a run's report says of each finding that was to be checked: a verdict, of this run or an earlier one, or why none.
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
