-- What is known of checks by their keys: the one that was judged; how many were paid for, or may have been, in vain, and
-- what the last of these said.
SELECT check_key, max(check_id) FILTER (WHERE state = 'judged') AS check_id,
       count(*) FILTER (WHERE state IN ('failed', 'lost') AND cost_usd + risked_usd > 0) AS in_vain,
       (array_agg(note ORDER BY check_id DESC))[1] AS note
FROM finding_checks
WHERE check_key = ANY (%(keys)s)
GROUP BY check_key;
