-- Leaves unanswered what is in batches of which nobody knows the end in time; their claims stay, so that no other run
-- pays for it meanwhile.
UPDATE requests
SET left_because = 'unresolved: batch ' || coalesce(batches.api_batch_id, batches.batch_id::text) ||
    CASE WHEN batches.api_batch_id IS NULL THEN ' may have been accepted' ELSE ' had not ended' END ||
    ' when the report was due; a late answer is kept for the next run'
FROM batches
WHERE batches.batch_id = requests.batch_id AND requests.run_id = %(run_id)s AND requests.state = 'open'
  AND left_because IS NULL AND batches.state IN ('intended', 'in_doubt', 'submitted', 'ended')
RETURNING request_id;
