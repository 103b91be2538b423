-- The batches of these runs, in the order in which they were planned.
SELECT batch_id, run_id, round, position, state, request_count, api_batch_id, intended_at, submitted_at, expires_at,
       cancel_requested_at, cut_off_at, gone_at, succeeded, errored, canceled, expired, missing, note
FROM batches WHERE run_id = ANY (%(run_ids)s) ORDER BY run_id, round, position, batch_id;
