-- The documents of the sample that a refinement was begun with, in order; none when it was not.
SELECT path, language, body
FROM documents JOIN contents USING (content_hash)
WHERE run_id = (SELECT run_id FROM runs WHERE kind = 'sample' AND starts_with(external_key, %(prefix)s)
                ORDER BY run_id LIMIT 1)
ORDER BY priority;
