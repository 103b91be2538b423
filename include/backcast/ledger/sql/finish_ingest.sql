-- Counts off a batch and closes it.
UPDATE batches
SET state = 'ingested', ingested_at = %(now)s, succeeded = counted.succeeded, errored = counted.errored,
    canceled = counted.canceled, expired = counted.expired, missing = counted.missing,
    unknown_rows = (SELECT count(*) FROM unknown_rows WHERE unknown_rows.batch_id = batches.batch_id)
FROM (
    SELECT count(*) FILTER (WHERE result_type = 'succeeded') AS succeeded,
           count(*) FILTER (WHERE result_type = 'errored') AS errored,
           count(*) FILTER (WHERE result_type = 'canceled') AS canceled,
           count(*) FILTER (WHERE result_type = 'expired') AS expired,
           count(*) FILTER (WHERE result_type NOT IN ('succeeded', 'errored', 'canceled', 'expired')) AS missing
    FROM results WHERE batch_id = %(batch_id)s
) AS counted
WHERE batches.batch_id = %(batch_id)s AND batches.state = 'ended';
