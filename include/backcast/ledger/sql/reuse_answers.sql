-- Settles the documents whose content has an accepted answer of the same kind from another run, which no check has failed in
-- its repository at its ref: elsewhere the same file may stand among others, and each would have the other's paid again; a
-- full run wants one that came after it was opened, and a sample one of a first attempt: what took remedies says nothing good
-- of a prompt.
UPDATE documents SET outcome = 'reused', result_id = earlier.result_id
FROM (
    SELECT DISTINCT ON (documents.document_id) documents.document_id, results.result_id
    FROM documents JOIN runs USING (run_id)
    JOIN results ON results.answer_key = documents.answer_key AND results.simulated = runs.simulated
                AND results.verdict = 'accepted' AND (NOT full_run OR results.received_at > opened_at)
    JOIN requests ON requests.request_id = results.request_id AND requests.run_id <> documents.run_id
                 AND (kind <> 'sample' OR parent_id IS NULL)
    WHERE documents.run_id = %(run_id)s AND documents.outcome IS NULL
      AND NOT EXISTS (SELECT FROM test_runs JOIN runs AS failing ON failing.run_id = test_runs.run_id
                      WHERE test_runs.result_id = results.result_id AND test_runs.verdict = 'failed'
                        AND failing.repository = runs.repository AND failing.ref IS NOT DISTINCT FROM runs.ref)
    ORDER BY documents.document_id, results.result_id
) AS earlier
WHERE documents.document_id = earlier.document_id;
