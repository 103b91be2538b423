-- What is to be answered synchronously, in the order in which it is.
SELECT request_id, length(body) AS characters,
       (SELECT count(*) FROM calls WHERE calls.request_id = requests.request_id AND calls.state = 'lost') AS lost
FROM requests JOIN documents USING (document_id) JOIN contents USING (content_hash)
WHERE requests.run_id = %(run_id)s AND synchronous AND requests.state = 'open' AND claims AND left_because IS NULL
ORDER BY priority, documents.size, path;
