-- How many of a run's sample have no answer yet and may get one; what was in flight when the run was canceled gets none.
SELECT count(*) AS count FROM requests JOIN runs USING (run_id)
WHERE run_id = %(run_id)s AND sampled AND parent_id IS NULL AND requests.state = 'open' AND claims AND left_because IS NULL
  AND runs.state = 'collected' AND canceled_at IS NULL;
