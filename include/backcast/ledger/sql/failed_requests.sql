-- The requests that failed before a round, hold their claim, and are undecided, with how many of their lineage failed
-- for a reason that neither passes by itself nor is done away with by splitting, and the document where it may have to be
-- split. What somebody had canceled is not asked for again, unless at the cut-off.
SELECT requests.request_id, cause, coalesce(detail, '') AS detail, requests.max_tokens, variant, language, part, documents.model,
       documents.answer_key AS document_key, lineage.variants, lineage.attempts, lineage.splits,
       CASE WHEN cause IN ('too_long', 'truncated') THEN body END AS body
FROM requests JOIN results USING (request_id) JOIN documents USING (document_id) JOIN contents USING (content_hash)
LEFT JOIN batches ON batches.batch_id = requests.batch_id
CROSS JOIN LATERAL (
    WITH RECURSIVE tried AS (
        SELECT requests.*
        UNION ALL
        SELECT above.* FROM tried JOIN requests AS above ON above.request_id = tried.parent_id
    )
    SELECT array_agg(variant) AS variants, count(*) FILTER (WHERE cause NOT IN ('passing', 'too_long')) AS attempts,
           count(*) FILTER (WHERE part_number > 0) AS splits
    FROM tried
) AS lineage
WHERE requests.run_id = %(run_id)s AND requests.round < %(before)s AND requests.state = 'failed' AND claims
  AND NOT (result_type = 'canceled' AND cancel_requested_at IS NOT NULL AND cut_off_at IS NULL)
  AND NOT EXISTS (SELECT FROM requests AS child WHERE child.parent_id = requests.request_id)
ORDER BY requests.request_id;
