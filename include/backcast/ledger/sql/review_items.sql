-- The review lane, the latest last: what is open, or one item, or all of it.
SELECT item_id, item.run_id, runs.workflow, path, cause, reason, item.state, item.opened_at, decided_at, note, report_path
FROM review_lane AS item JOIN runs USING (run_id) JOIN documents USING (document_id)
WHERE (%(item_id)s::bigint IS NULL OR item_id = %(item_id)s::bigint)
  AND (%(everything)s OR item.state = 'open' OR item_id = %(item_id)s::bigint)
ORDER BY item_id;
