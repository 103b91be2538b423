-- A run with its prompt version.
SELECT runs.*, prompt_versions.version AS prompt_version, prompt_versions.system_template,
       prompt_versions.document_template, prompt_versions.answer_schema, prompt_versions.simplified_template,
       prompt_versions.examples
FROM runs JOIN prompt_versions USING (prompt_hash)
WHERE run_id = %(run_id)s;
