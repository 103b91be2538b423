-- Lets a document have no answer again whose reused one has failed.
UPDATE documents SET outcome = NULL, result_id = NULL WHERE document_id = %(document_id)s AND outcome = 'reused';
