-- Rejects an accepted answer of a run that a check has failed. Its request takes its claim back, unless nothing follows or
-- another run asks for the same meanwhile, so that it is decided about like any other failure.
WITH failed AS (
    UPDATE requests
    SET state = 'failed', cause = 'failed_check', detail = %(detail)s,
        claims = %(again)s AND runs.canceled_at IS NULL AND runs.state = 'collected'
                 AND NOT EXISTS (SELECT FROM requests AS other
                                 WHERE other.answer_key = requests.answer_key AND other.simulated = requests.simulated
                                   AND other.claims)
    FROM runs
    WHERE requests.request_id = %(request_id)s AND runs.run_id = requests.run_id AND requests.state = 'accepted'
    RETURNING requests.request_id
)
UPDATE results SET verdict = 'rejected' FROM failed WHERE results.request_id = failed.request_id;
