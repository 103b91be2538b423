-- Makes a version of a workflow's prompt the active one.
INSERT INTO promotions (workflow, prompt_hash, declared_hash, promoted_at, promoted_by, why, scores)
VALUES (%(workflow)s, %(prompt_hash)s, %(declared_hash)s, %(now)s, %(by)s, %(why)s, %(scores)s);
