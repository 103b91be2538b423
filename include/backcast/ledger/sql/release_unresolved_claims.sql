-- Releases what published runs have left in doubt for longer than a batch can take; not what has ended and is unread.
UPDATE requests SET claims = false
FROM batches, runs
WHERE batches.batch_id = requests.batch_id AND runs.run_id = requests.run_id AND runs.state = 'published'
  AND requests.state = 'open' AND claims
  AND batches.intended_at < %(now)s - interval '25 hours'
  AND (batches.state NOT IN ('submitted', 'ended') OR gone_at IS NOT NULL);
