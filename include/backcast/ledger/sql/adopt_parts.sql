-- Accepts the parts of a run that are new, or were left, and that another run has an accepted answer to, which was paid
-- for there; a full run wants one that came after it was opened.
WITH adopted AS (
    SELECT DISTINCT ON (requests.request_id) requests.request_id, requests.answer_key, requests.simulated, results.raw,
           results.received_at
    FROM requests JOIN runs USING (run_id)
    JOIN results ON results.answer_key = requests.answer_key AND results.simulated = requests.simulated
                AND results.verdict = 'accepted' AND (NOT full_run OR results.received_at > opened_at)
    WHERE requests.run_id = %(run_id)s AND part_number > 0 AND requests.state = 'open' AND requests.batch_id IS NULL
      -- Whoever asks synchronously has the money reserved.
      AND (left_because IS NOT NULL OR reserved_usd IS NULL)
      AND NOT EXISTS (SELECT FROM calls WHERE calls.request_id = requests.request_id)
    ORDER BY requests.request_id, results.result_id
), accepted AS (
    UPDATE requests SET state = 'accepted', claims = false, left_because = NULL
    FROM adopted WHERE adopted.request_id = requests.request_id
)
INSERT INTO results (request_id, result_type, raw, received_at, verdict, answer_key, simulated)
SELECT request_id, 'adopted', raw, received_at, 'accepted', answer_key, simulated FROM adopted;
