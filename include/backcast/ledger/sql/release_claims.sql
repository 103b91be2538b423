-- Releases the claims of a run on what is not at the API: what failed, and what was not sent. A synchronous call ends
-- within minutes, or its task is dead. What was split is released with the last of its parts.
UPDATE requests SET claims = false
WHERE run_id = %(run_id)s AND claims
  AND (CASE WHEN state = 'failed'
            THEN NOT EXISTS (SELECT FROM requests AS child WHERE child.parent_id = requests.request_id)
       ELSE NOT EXISTS (
               SELECT FROM batches
               WHERE batches.batch_id = requests.batch_id AND gone_at IS NULL
                 AND batches.state IN ('intended', 'in_doubt', 'submitted', 'ended'))
            AND NOT EXISTS (
               SELECT FROM calls
               WHERE calls.request_id = requests.request_id AND calls.state = 'sent'
                 AND (%(now)s::timestamptz IS NULL OR sent_at > %(now)s - interval '10 minutes')) END);
