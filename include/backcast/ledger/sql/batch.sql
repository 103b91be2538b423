-- A batch with what its run says of it.
SELECT batches.*, runs.workflow, runs.model, runs.prompt_hash, runs.simulated, runs.max_tokens AS run_max_tokens,
       runs.answer_schema, runs.system_template, runs.document_template, runs.simplified_template, runs.examples, runs.structured,
       runs.kind,
       runs.canceled_at AS run_canceled_at,
       runs.held_because, runs.state AS run_state,
       NOT EXISTS (SELECT FROM requests WHERE requests.batch_id = batches.batch_id AND requests.state = 'open'
                   AND left_because IS NULL) AS nothing_awaited
FROM batches
JOIN (SELECT * FROM runs JOIN prompt_versions USING (prompt_hash, workflow)) AS runs USING (run_id)
WHERE batch_id = %(batch_id)s;
