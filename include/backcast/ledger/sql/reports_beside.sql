-- Another workflow's reports of a run's repository, by the same kind of answers, within a time; the latest first.
SELECT other.run_id, other.published_at, other.commit_id AS commit
FROM runs JOIN runs AS other ON other.repository = runs.repository AND other.simulated = runs.simulated
WHERE runs.run_id = %(run_id)s AND other.workflow = %(workflow)s AND other.state = 'published' AND NOT other.interim
  AND other.published_at > %(since)s AND other.published_at <= %(until)s
ORDER BY other.published_at DESC, other.run_id DESC;
