-- How many requests of a batch have no result row yet.
SELECT count(*) AS count FROM requests LEFT JOIN results USING (request_id)
WHERE requests.batch_id = %(batch_id)s AND result_id IS NULL;
