-- The last run at an API of the same file of requests into the same file of answers, and how many there were.
SELECT run_id, commit_id AS sha256, state = 'published' AS over, canceled_at IS NOT NULL AS canceled,
       count(*) OVER () AS runs
FROM runs
WHERE kind = 'requests' AND repository = %(requests)s AND ref = %(output)s AND base_url = %(base_url)s
ORDER BY run_id DESC LIMIT 1;
