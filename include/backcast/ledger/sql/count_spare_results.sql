-- Sums up a second batch.
UPDATE sightings
SET row_count = spare.row_count, cost_usd = spare.cost_usd
FROM (SELECT count(*) AS row_count, coalesce(sum(cost_usd), 0) AS cost_usd
      FROM spare_results WHERE api_batch_id = %(api_batch_id)s) AS spare
WHERE sightings.api_batch_id = %(api_batch_id)s
RETURNING sightings.row_count, sightings.cost_usd;
