-- The requests that failed before a round, hold their claim, and are undecided. What we had canceled ourselves is not
-- asked for again.
SELECT requests.request_id, cause, coalesce(detail, '') AS detail, attempt, requests.max_tokens
FROM requests JOIN results USING (request_id) JOIN batches ON batches.batch_id = requests.batch_id
WHERE requests.run_id = %(run_id)s AND requests.round < %(round)s AND requests.state = 'failed' AND claims
  AND NOT (result_type = 'canceled' AND cancel_requested_at IS NOT NULL)
  AND NOT EXISTS (SELECT FROM requests AS child WHERE child.parent_id = requests.request_id)
ORDER BY requests.request_id;
