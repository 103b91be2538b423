-- Second batches, of all runs or of one, that were paid for beside the one that is used.
SELECT sightings.api_batch_id, sightings.batch_id, batches.run_id, row_count, cost_usd
FROM sightings JOIN batches USING (batch_id) WHERE verdict = 'second' AND (%(run_id)s::bigint IS NULL OR run_id = %(run_id)s)
ORDER BY sightings.created_at;
