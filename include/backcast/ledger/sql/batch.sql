-- A batch with what its run says of it, and with its prompt version.
SELECT batches.*, runs.workflow, runs.model, runs.prompt_hash, runs.simulated, runs.max_tokens AS run_max_tokens,
       runs.structured, runs.kind, runs.cache_ttl, runs.canceled_at AS run_canceled_at, runs.held_because,
       runs.state AS run_state, prompt_versions.version AS prompt_version, prompt_versions.system_template,
       prompt_versions.document_template, prompt_versions.answer_schema, prompt_versions.simplified_template,
       prompt_versions.examples,
       NOT EXISTS (SELECT FROM requests WHERE requests.batch_id = batches.batch_id AND requests.state = 'open'
                   AND left_because IS NULL) AS nothing_awaited
FROM batches JOIN runs USING (run_id) JOIN prompt_versions USING (prompt_hash)
WHERE batch_id = %(batch_id)s;
