-- How many documents of a run other runs have claimed, by run.
SELECT claim.run_id, count(*) AS documents
FROM documents
JOIN runs USING (run_id)
JOIN requests AS claim ON claim.answer_key = documents.answer_key AND claim.simulated = runs.simulated AND claim.claims
WHERE documents.run_id = %(run_id)s AND outcome IS NULL AND claim.run_id <> runs.run_id
  AND NOT EXISTS (SELECT FROM requests AS own
                  WHERE own.run_id = documents.run_id AND own.answer_key = documents.answer_key)
GROUP BY claim.run_id ORDER BY claim.run_id;
