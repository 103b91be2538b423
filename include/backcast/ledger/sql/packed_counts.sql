-- How many requests each batch of a packing holds.
SELECT batch_position, count(*) AS request_count FROM packed GROUP BY batch_position ORDER BY batch_position;
