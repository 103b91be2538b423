-- Leaves a document unanswered whose reused answer has failed.
UPDATE documents SET outcome = 'unanswered', result_id = NULL, reason = %(reason)s
WHERE document_id = %(document_id)s AND outcome = 'reused';
