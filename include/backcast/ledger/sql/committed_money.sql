-- What is spent, reserved, or may have been spent without a known end, in US$: of a run, and of all runs of its workflow
-- opened in the same month, in UTC; and what of a run is for trying again. With a run count the checks of its findings, and
-- the sample of labelled documents that its prompt was proved on.
SELECT coalesce(sum(committed.usd) FILTER (
           WHERE runs.run_id = this.run_id OR (runs.kind = 'sample' AND runs.ref = this.external_key)), 0) AS run_usd,
       coalesce(sum(committed.retries_usd) FILTER (WHERE runs.run_id = this.run_id), 0) AS retries_usd,
       coalesce(sum(committed.usd), 0) AS month_usd
FROM runs AS this
JOIN runs ON runs.workflow = this.workflow AND runs.simulated = this.simulated
         AND date_trunc('month', runs.opened_at, 'UTC') = date_trunc('month', this.opened_at, 'UTC'),
LATERAL (
    SELECT sum(each.usd) AS usd, sum(each.usd) FILTER (WHERE each.retry) AS retries_usd
    FROM (
        SELECT coalesce(results.cost_usd, CASE WHEN claims THEN reserved_usd END, 0) + risked_usd AS usd,
               parent_id IS NOT NULL AS retry
        FROM requests LEFT JOIN results USING (request_id)
        WHERE requests.run_id = runs.run_id
        UNION ALL
        SELECT cost_usd + risked_usd + coalesce(reserved_usd, 0), false
        FROM finding_checks WHERE finding_checks.run_id = runs.run_id
    ) AS each
) AS committed
WHERE this.run_id = %(run_id)s;
