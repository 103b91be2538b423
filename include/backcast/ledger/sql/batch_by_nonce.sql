-- The intent that a result row proves, held until the transaction ends.
SELECT batch_id, run_id, state, api_batch_id,
       EXISTS (SELECT FROM batches AS later WHERE later.replaces = batches.batch_id) AS replaced,
       EXISTS (SELECT FROM requests WHERE requests.batch_id = batches.batch_id) AS holds_requests
FROM batches WHERE nonce = %(nonce)s FOR UPDATE;
