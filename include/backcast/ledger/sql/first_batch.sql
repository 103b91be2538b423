-- What the first batch of a round has shown so far: whether it is still to be read, how many of its requests were, and how
-- many could never have succeeded, with what was said most often about these.
SELECT first.state NOT IN ('ingested', 'withdrawn', 'given_up') AS awaited, count(*) AS requests,
       count(*) FILTER (WHERE requests.state <> 'open') AS read,
       count(*) FILTER (WHERE cause = 'our_fault') AS our_fault,
       mode() WITHIN GROUP (ORDER BY detail) FILTER (WHERE cause = 'our_fault') AS detail
FROM batches AS first JOIN requests USING (batch_id)
WHERE first.run_id = %(run_id)s AND first.round = %(round)s AND first.position = 0
  AND NOT EXISTS (SELECT FROM batches AS later WHERE later.replaces = first.batch_id)
GROUP BY first.batch_id;
