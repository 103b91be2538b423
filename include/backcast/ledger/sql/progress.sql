-- Where a run stands, for whoever watches it.
SELECT runs.run_id, runs.state, runs.deadline, runs.report_path, runs.answered, runs.reused, runs.skipped,
       runs.unanswered,
       (SELECT count(*) FROM documents WHERE documents.run_id = runs.run_id) AS documents,
       (SELECT count(*) FROM findings WHERE findings.run_id = runs.run_id) AS findings,
       (SELECT count(*) FROM batches WHERE batches.run_id = runs.run_id AND batches.state <> 'refused') AS batches,
       (SELECT count(*) FROM batches
        WHERE batches.run_id = runs.run_id AND batches.state IN ('ended', 'ingested')) AS batches_ended,
       (SELECT array_agg(api_batch_id ORDER BY batch_id) FROM batches
        WHERE batches.run_id = runs.run_id AND batches.state = 'submitted') AS api_batch_ids,
       requests.requests, requests.requests_answered, spent.cost_usd + checked.cost_usd AS cost_usd,
       spent.synchronous_usd + checked.cost_usd AS synchronous_usd
FROM runs,
LATERAL (SELECT count(*) AS requests, count(*) FILTER (WHERE requests.state <> 'open') AS requests_answered
         FROM requests WHERE requests.run_id = runs.run_id AND remedy IS DISTINCT FROM 'merged') AS requests,
LATERAL (SELECT coalesce(sum(cost_usd), 0) AS cost_usd, coalesce(sum(synchronous_usd), 0) AS synchronous_usd
         FROM requests JOIN results USING (request_id) WHERE requests.run_id = runs.run_id) AS spent,
LATERAL (SELECT coalesce(sum(cost_usd), 0) AS cost_usd FROM finding_checks
         WHERE finding_checks.run_id = runs.run_id) AS checked
WHERE external_key = %(external_key)s;
