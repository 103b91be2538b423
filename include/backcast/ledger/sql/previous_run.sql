-- The run whose report, not only an interim one, came last before this one, of the same workflow, repository and kind of answers.
SELECT earlier.run_id, earlier.published_at
FROM runs JOIN runs AS earlier
  ON earlier.workflow = runs.workflow AND earlier.repository = runs.repository
 AND earlier.simulated = runs.simulated AND earlier.state = 'published'
 AND NOT earlier.interim AND earlier.run_id <> runs.run_id
WHERE runs.run_id = %(run_id)s
ORDER BY earlier.published_at DESC LIMIT 1;
