-- The last run of a sample of this name, and whether it ended without an answer to some document.
SELECT runs.external_key,
       canceled_at IS NOT NULL OR runs.state = 'scored' AND EXISTS (
           SELECT FROM documents
           LEFT JOIN requests ON requests.run_id = documents.run_id AND requests.answer_key = documents.answer_key
                             AND requests.parent_id IS NULL
           WHERE documents.run_id = runs.run_id AND documents.outcome <> 'reused'
             AND coalesce(requests.state, 'open') = 'open') AS incomplete
FROM runs
WHERE runs.kind = 'sample' AND starts_with(runs.external_key, %(name)s || ' #')
ORDER BY runs.run_id DESC LIMIT 1;
