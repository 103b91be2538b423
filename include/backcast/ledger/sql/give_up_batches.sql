-- Gives up what has no known end or cannot be read any more, so that its requests can be sent and paid for again.
UPDATE batches SET state = 'given_up', note = 'sent again by hand, possibly paid twice'
WHERE run_id = %(run_id)s AND (state = 'in_doubt' OR (state IN ('submitted', 'ended') AND gone_at IS NOT NULL))
RETURNING batch_id;
