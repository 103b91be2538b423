-- The runs that owe a report and are not over, with what is open and which alerts were raised; all, or some by number.
-- Open is what has no answer, also when its last request has failed and nothing was sent after it.
SELECT runs.run_id, runs.workflow, runs.external_key, runs.deadline, runs.held_because,
       counted.requests, counted.open, sent.in_doubt, sent.at_api,
       (SELECT coalesce(array_agg(alerts.kind), '{}') FROM alerts
        WHERE alerts.subject = runs.external_key) AS raised
FROM runs,
LATERAL (SELECT count(*) FILTER (WHERE parent_id IS NULL) AS requests,
                count(*) FILTER (WHERE parent_id IS NULL) - count(*) FILTER (
                    WHERE requests.state = 'accepted' AND part IS NULL) AS open
         FROM requests WHERE requests.run_id = runs.run_id) AS counted,
LATERAL (SELECT count(*) FILTER (WHERE batches.state IN ('intended', 'in_doubt')) AS in_doubt,
                coalesce(array_agg(batches.api_batch_id ORDER BY batches.batch_id)
                         FILTER (WHERE batches.state = 'submitted'), '{}') AS at_api
         FROM batches WHERE batches.run_id = runs.run_id) AS sent
WHERE runs.kind = 'documents' AND runs.state IN ('open', 'collected') AND NOT runs.dry_run
  AND runs.canceled_at IS NULL AND runs.left_at IS NULL
  AND (%(run_ids)s::bigint[] IS NULL OR runs.run_id = ANY (%(run_ids)s))
ORDER BY runs.deadline, runs.run_id;
