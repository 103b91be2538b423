-- What is to be answered synchronously and has its money reserved, in the order in which it is; while the run is being
-- proved, its sample alone.
SELECT request_id, sampled, coalesce((part ->> 'bytes')::bigint, prompt_bytes) AS prompt_bytes,
       (SELECT count(*) FROM calls WHERE calls.request_id = requests.request_id AND calls.state = 'lost') AS lost
FROM requests JOIN documents USING (document_id)
WHERE requests.run_id = %(run_id)s AND synchronous AND requests.state = 'open' AND claims AND left_because IS NULL
  AND reserved_usd IS NOT NULL
  AND (sampled OR NOT EXISTS (SELECT FROM gates WHERE gates.run_id = requests.run_id AND verdict IS NULL))
ORDER BY priority, documents.size, path, part_number, request_id;
