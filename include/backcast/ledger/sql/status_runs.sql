-- Runs with their requests by state and their money: those that are not over or are recent, or one by its number. Reserved is
-- the most that what is open can still cost; a call without a known end may have been paid for. A sample that nobody scores
-- to its end owes nothing.
SELECT runs.run_id, runs.workflow, runs.external_key, runs.repository, runs.state, runs.opened_at, runs.deadline,
       runs.interim, runs.canceled_at, runs.held_because, runs.report_path, runs.max_usd, runs.collected AS documents,
       counted.requests, counted.open, counted.accepted, counted.failed, counted.left_unanswered, counted.synchronous,
       spent.cost_usd + checked.cost_usd AS spent_usd, counted.reserved_usd + checked.reserved_usd AS reserved_usd,
       lost.calls + checked.lost AS lost_calls
FROM runs,
LATERAL (SELECT count(*) AS requests,
                count(*) FILTER (WHERE requests.state = 'open' AND left_because IS NULL) AS open,
                count(*) FILTER (WHERE requests.state = 'accepted') AS accepted,
                count(*) FILTER (WHERE requests.state = 'failed') AS failed,
                count(*) FILTER (WHERE requests.state = 'open' AND left_because IS NOT NULL) AS left_unanswered,
                count(*) FILTER (WHERE synchronous) AS synchronous,
                coalesce(sum(reserved_usd) FILTER (WHERE requests.state = 'open' AND claims), 0) AS reserved_usd
         FROM requests WHERE requests.run_id = runs.run_id AND remedy IS DISTINCT FROM 'merged') AS counted,
LATERAL (SELECT coalesce(sum(cost_usd), 0) AS cost_usd
         FROM requests JOIN results USING (request_id) WHERE requests.run_id = runs.run_id) AS spent,
LATERAL (SELECT count(*) AS calls FROM calls JOIN requests USING (request_id)
         WHERE requests.run_id = runs.run_id AND calls.state = 'lost') AS lost,
LATERAL (SELECT coalesce(sum(finding_checks.cost_usd), 0) AS cost_usd,
                coalesce(sum(finding_checks.reserved_usd), 0) AS reserved_usd,
                count(*) FILTER (WHERE finding_checks.state = 'lost') AS lost
         FROM finding_checks WHERE finding_checks.run_id = runs.run_id) AS checked
WHERE runs.run_id = %(run_id)s
   OR (%(run_id)s::bigint IS NULL AND (runs.opened_at > %(since)s
                                         OR (runs.state IN ('open', 'collected') AND runs.kind <> 'sample')))
ORDER BY runs.run_id;
