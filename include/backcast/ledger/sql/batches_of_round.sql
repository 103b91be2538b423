-- The batches of a round that are still to be answered, in order.
SELECT batch_id FROM batches
WHERE run_id = %(run_id)s AND round = %(round)s AND state <> 'refused'
ORDER BY position;
