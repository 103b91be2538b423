-- Settles the documents whose content is in the review lane: they are not asked about again until somebody says so.
UPDATE documents
SET outcome = CASE item.state WHEN 'dismissed' THEN 'skipped' ELSE 'unanswered' END,
    reason = CASE item.state WHEN 'dismissed' THEN 'dismissed in the review lane'
             ELSE 'in the review lane: item ' || item.item_id || ', ' || item.cause END
FROM review_lane AS item JOIN runs ON runs.run_id = %(run_id)s AND runs.simulated = item.simulated
WHERE documents.run_id = %(run_id)s AND documents.outcome IS NULL AND item.answer_key = documents.answer_key
  AND item.state <> 'retry' AND NOT full_run;
