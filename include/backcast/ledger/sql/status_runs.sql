-- Runs with their requests by state and their money: those that are not over, or one by its number.
SELECT runs.run_id, runs.workflow, runs.external_key, runs.repository, runs.state, runs.opened_at, runs.deadline,
       runs.canceled_at, runs.held_because, runs.report_path, runs.collected AS documents,
       counted.requests, counted.open, counted.accepted, counted.failed, spent.cost_usd AS spent_usd,
       round(coalesce(runs.estimated_usd * counted.payable / nullif(runs.estimated_requests, 0), 0), 6) AS reserved_usd
FROM runs,
LATERAL (SELECT count(*) AS requests, count(*) FILTER (WHERE requests.state = 'open') AS open,
                count(*) FILTER (WHERE requests.state = 'accepted') AS accepted,
                count(*) FILTER (WHERE requests.state = 'failed') AS failed,
                count(*) FILTER (WHERE requests.state = 'open' AND (batches.state IN ('in_doubt', 'intended', 'submitted')
                    OR (runs.canceled_at IS NULL AND runs.state IN ('open', 'collected')))) AS payable
         FROM requests LEFT JOIN batches USING (batch_id) WHERE requests.run_id = runs.run_id) AS counted,
LATERAL (SELECT coalesce(sum(cost_usd), 0) AS cost_usd
         FROM requests JOIN results USING (request_id) WHERE requests.run_id = runs.run_id) AS spent
WHERE runs.run_id = %(run_id)s
   OR (%(run_id)s::bigint IS NULL AND (runs.state IN ('open', 'collected') OR runs.opened_at > %(since)s))
ORDER BY runs.run_id;
