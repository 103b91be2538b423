-- What the runs of each workflow that ended used and cost in US$, of those opened since a moment; not those of a
-- simulator, which nobody pays. What checks of findings cost is told apart, since they are synchronous anyway.
SELECT runs.workflow, count(DISTINCT runs.run_id) AS runs, count(results.result_id) AS answers,
       count(results.call_id) AS called,
       coalesce(sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens), 0) AS tokens,
       coalesce(sum(cost_usd), 0) AS cost_usd, coalesce(sum(synchronous_usd), 0) AS synchronous_usd,
       (SELECT coalesce(sum(finding_checks.cost_usd), 0)
        FROM finding_checks JOIN runs AS checked USING (run_id)
        WHERE checked.workflow = runs.workflow AND checked.opened_at > %(since)s AND NOT checked.simulated
          AND checked.state IN ('published', 'reviewed')) AS checks_usd
FROM runs
LEFT JOIN requests USING (run_id)
LEFT JOIN results ON results.request_id = requests.request_id AND result_type NOT IN ('merged', 'adopted')
WHERE runs.opened_at > %(since)s AND runs.state IN ('published', 'reviewed') AND NOT runs.simulated
GROUP BY runs.workflow;
