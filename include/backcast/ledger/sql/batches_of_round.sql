-- The batches of a round that are still to be answered, in order. One that is over stands until another replaces it.
SELECT batch_id FROM batches
WHERE run_id = %(run_id)s AND round = %(round)s
  AND NOT EXISTS (SELECT FROM batches AS later WHERE later.replaces = batches.batch_id)
ORDER BY position;
