-- The answers that a run would offer, its own and reused ones, that were not checked in it; `request_id` is of its own. With a
-- `first_round` of its own only those of that.
SELECT documents.document_id, path, results.result_id, results.raw, own.request_id
FROM documents
LEFT JOIN requests AS own ON own.run_id = documents.run_id AND own.answer_key = documents.answer_key
                         AND own.state = 'accepted' AND documents.outcome IS NULL
LEFT JOIN results AS answer ON answer.request_id = own.request_id
JOIN results ON results.result_id = coalesce(answer.result_id, documents.result_id)
WHERE documents.run_id = %(run_id)s
  AND (%(first_round)s::integer IS NULL OR own.request_id IS NULL OR own.round <= %(first_round)s::integer)
  AND NOT EXISTS (SELECT FROM test_runs WHERE test_runs.run_id = documents.run_id AND test_runs.result_id = results.result_id)
ORDER BY path;
