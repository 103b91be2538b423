-- Releases the claims of a run on what is not at the API: what failed, and what was not sent.
UPDATE requests SET claims = false
WHERE run_id = %(run_id)s AND claims
  AND (state = 'failed' OR NOT EXISTS (
      SELECT FROM batches
      WHERE batches.batch_id = requests.batch_id AND gone_at IS NULL
        AND batches.state IN ('intended', 'in_doubt', 'submitted', 'ended')));
