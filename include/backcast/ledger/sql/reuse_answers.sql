-- Settles the documents whose content already has an accepted answer of the same kind.
UPDATE documents SET outcome = 'reused', result_id = earlier.result_id
FROM (
    SELECT DISTINCT ON (answer_key) answer_key, result_id
    FROM results
    WHERE verdict = 'accepted' AND simulated = %(simulated)s
    ORDER BY answer_key, result_id
) AS earlier
WHERE documents.run_id = %(run_id)s AND documents.outcome IS NULL AND documents.answer_key = earlier.answer_key;
