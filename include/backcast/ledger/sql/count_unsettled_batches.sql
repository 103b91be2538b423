-- How many batches of a run can only be settled by paying again.
SELECT count(*) AS count FROM batches
WHERE run_id = %(run_id)s AND (state = 'in_doubt' OR (state IN ('submitted', 'ended') AND gone_at IS NOT NULL));
