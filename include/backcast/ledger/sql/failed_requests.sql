-- The requests that failed before a round and have no child yet.
SELECT request_id, cause, coalesce(detail, '') AS detail, attempt, requests.max_tokens
FROM requests
WHERE run_id = %(run_id)s AND round < %(round)s AND state = 'failed'
  AND NOT EXISTS (SELECT FROM requests AS child WHERE child.parent_id = requests.request_id)
ORDER BY request_id;
