-- How long batches took that were sent since a moment: how many ended, and the median; not those of a simulator.
SELECT count(*) AS batches, percentile_cont(0.5) WITHIN GROUP (ORDER BY ended_at - submitted_at) AS usual
FROM batches JOIN runs USING (run_id)
WHERE submitted_at > %(since)s AND ended_at >= submitted_at AND NOT runs.simulated;
