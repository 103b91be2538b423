-- Settles the documents that this run's requests answered; where several have the same content, one was paid for.
UPDATE documents
SET outcome = CASE WHEN requests.document_id = documents.document_id THEN 'answered' ELSE 'reused' END,
    result_id = results.result_id
FROM requests JOIN results USING (request_id)
WHERE documents.run_id = %(run_id)s AND documents.outcome IS NULL AND requests.run_id = documents.run_id
  AND requests.answer_key = documents.answer_key AND requests.state = 'accepted';
