-- The last promotion of a workflow, with the version that it made active.
SELECT promotions.*, prompt_versions.version, prompt_versions.system_template, prompt_versions.document_template,
       prompt_versions.answer_schema, prompt_versions.simplified_template, prompt_versions.examples
FROM promotions JOIN prompt_versions USING (prompt_hash)
WHERE promotions.workflow = %(workflow)s
ORDER BY promotion_id DESC LIMIT 1;
