-- Which of these batches of the API are known to be ours.
SELECT api_batch_id FROM batches WHERE api_batch_id = ANY (%(api_batch_ids)s);
