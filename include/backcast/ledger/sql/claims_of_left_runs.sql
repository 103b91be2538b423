-- The runs that have claimed what this run wants and that are over, that nobody works on any more, whose sample failed, or
-- that are past their deadline.
SELECT DISTINCT holder.run_id
FROM documents
JOIN runs USING (run_id)
JOIN requests AS claim ON claim.answer_key = documents.answer_key AND claim.simulated = runs.simulated AND claim.claims
JOIN runs AS holder ON holder.run_id = claim.run_id
WHERE documents.run_id = %(run_id)s AND documents.outcome IS NULL AND holder.run_id <> runs.run_id
  AND (holder.left_at IS NOT NULL OR holder.deadline < %(now)s OR holder.canceled_at IS NOT NULL
       OR holder.state = 'published'
       OR EXISTS (SELECT FROM gates WHERE gates.run_id = holder.run_id AND verdict = 'failed'))
ORDER BY holder.run_id;
