-- What is spent, reserved, or may have been spent without a known end, in US$: of a run, and of all runs of its workflow
-- opened in the same month, in UTC.
SELECT coalesce(sum(committed.usd) FILTER (WHERE runs.run_id = this.run_id), 0) AS run_usd,
       coalesce(sum(committed.usd), 0) AS month_usd
FROM runs AS this
JOIN runs ON runs.workflow = this.workflow AND runs.simulated = this.simulated
         AND date_trunc('month', runs.opened_at, 'UTC') = date_trunc('month', this.opened_at, 'UTC'),
LATERAL (
    SELECT sum(coalesce(results.cost_usd, CASE WHEN claims THEN reserved_usd END, 0) + risked_usd) AS usd
    FROM requests LEFT JOIN results USING (request_id)
    WHERE requests.run_id = runs.run_id
) AS committed
WHERE this.run_id = %(run_id)s;
