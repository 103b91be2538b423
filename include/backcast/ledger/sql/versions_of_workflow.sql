-- The versions of a workflow's prompt that were used, or made active, at any time, the latest first.
SELECT prompt_versions.* FROM prompt_versions
WHERE workflow = %(workflow)s
   OR prompt_hash IN (SELECT prompt_hash FROM promotions WHERE promotions.workflow = %(workflow)s)
ORDER BY first_seen_at DESC, prompt_hash;
