-- The requests that failed before a round, hold their claim, and are undecided, with how many of their lineage failed
-- for a reason that does not pass by itself. What somebody had canceled is not asked for again, unless at the cut-off.
SELECT requests.request_id, cause, coalesce(detail, '') AS detail, requests.max_tokens, variant, language,
       (SELECT array_agg(tried.variant) FROM requests AS tried
        WHERE tried.run_id = requests.run_id AND tried.answer_key = requests.answer_key) AS variants,
       (SELECT count(*) FROM requests AS tried
        WHERE tried.run_id = requests.run_id AND tried.answer_key = requests.answer_key
          AND tried.state = 'failed' AND tried.cause <> 'passing') AS attempts
FROM requests JOIN results USING (request_id) JOIN documents USING (document_id)
LEFT JOIN batches ON batches.batch_id = requests.batch_id
WHERE requests.run_id = %(run_id)s AND requests.round < %(before)s AND requests.state = 'failed' AND claims
  AND NOT (result_type = 'canceled' AND cancel_requested_at IS NOT NULL AND cut_off_at IS NULL)
  AND NOT EXISTS (SELECT FROM requests AS child WHERE child.parent_id = requests.request_id)
ORDER BY requests.request_id;
