-- Keeps a prompt version's text the first time it is used.
INSERT INTO prompt_versions (prompt_hash, workflow, version, system_template, document_template, answer_schema,
                             first_seen_at, simplified_template, examples)
VALUES (%(prompt_hash)s, %(workflow)s, %(version)s, %(system_template)s, %(document_template)s, %(answer_schema)s,
        %(now)s, %(simplified_template)s, %(examples)s)
ON CONFLICT (prompt_hash) DO NOTHING;
