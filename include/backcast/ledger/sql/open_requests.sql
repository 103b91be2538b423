-- How many requests of a run may still be answered: when it was canceled, what was sent and can be read.
SELECT count(*) AS count
FROM requests JOIN runs USING (run_id) LEFT JOIN batches ON batches.batch_id = requests.batch_id
WHERE requests.run_id = %(run_id)s AND requests.state = 'open' AND requests.claims AND left_because IS NULL
  AND (runs.canceled_at IS NULL
       OR (batches.state IN ('intended', 'in_doubt', 'submitted', 'ended') AND batches.gone_at IS NULL));
