-- Takes what no batch has sent out of its batch, to be answered synchronously; of what was given up, the money that it
-- may have cost is not forgotten.
UPDATE requests
SET synchronous = true, batch_id = NULL, position = NULL, wire_id = NULL, reserved_usd = NULL,
    risked_usd = risked_usd + CASE WHEN EXISTS (SELECT FROM batches WHERE batches.batch_id = requests.batch_id
                                                AND batches.state = 'given_up')
                                   THEN coalesce(reserved_usd, 0) ELSE 0 END
WHERE run_id = %(run_id)s AND state = 'open' AND claims AND left_because IS NULL AND NOT synchronous
  AND (batch_id IS NULL OR EXISTS (
      SELECT FROM batches
      WHERE batches.batch_id = requests.batch_id
        AND batches.state IN ('withdrawn', 'refused', 'not_arrived', 'given_up')));
