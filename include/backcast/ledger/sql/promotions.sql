-- Which versions of a workflow's prompt were made active, the last one first.
SELECT version, prompt_hash, declared_hash, promoted_at, promoted_by, why, scores
FROM promotions JOIN prompt_versions USING (prompt_hash)
WHERE promotions.workflow = %(workflow)s
ORDER BY promotion_id DESC;
