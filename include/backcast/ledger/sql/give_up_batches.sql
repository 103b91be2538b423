-- Gives up what has no known end or cannot be read any more, so that its requests can be sent and paid for again.
WITH given_up AS (
    UPDATE batches SET state = 'given_up', note = 'sent again by hand, possibly paid twice'
    WHERE run_id = %(run_id)s AND (state = 'in_doubt' OR (state IN ('submitted', 'ended') AND gone_at IS NOT NULL))
    RETURNING batch_id
), awaited_again AS (
    UPDATE requests SET left_because = NULL FROM given_up WHERE requests.batch_id = given_up.batch_id AND claims
)
SELECT batch_id FROM given_up;
