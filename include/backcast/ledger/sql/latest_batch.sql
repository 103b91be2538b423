-- The batch that stands for this one now: itself, or what replaced it after a refusal.
WITH RECURSIVE chain AS (
    SELECT batch_id FROM batches WHERE batch_id = %(batch_id)s
    UNION ALL
    SELECT batches.batch_id FROM batches JOIN chain ON batches.replaces = chain.batch_id
)
SELECT max(batch_id) AS batch_id FROM chain;
