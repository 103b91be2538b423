-- How many requests of a run were sent in a batch, as far as is known, and have no result yet.
SELECT count(*) AS count
FROM requests JOIN batches ON batches.batch_id = requests.batch_id
WHERE requests.run_id = %(run_id)s AND requests.state = 'open'
  AND batches.state IN ('intended', 'in_doubt', 'submitted', 'ended');
