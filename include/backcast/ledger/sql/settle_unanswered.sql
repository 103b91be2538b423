-- Settles what is left as unanswered, with the reason of its last request.
UPDATE documents
SET outcome = 'unanswered',
    reason = coalesce(
        (SELECT CASE WHEN requests.state = 'open' THEN 'canceled: the run was canceled'
                     ELSE cause || coalesce(': ' || nullif(detail, ''), '') END
         FROM requests
         WHERE requests.run_id = documents.run_id AND requests.answer_key = documents.answer_key
         ORDER BY attempt DESC LIMIT 1),
        'never sent')
WHERE run_id = %(run_id)s AND outcome IS NULL;
