-- The documents of a run that were not left out, with what their contents say to the model.
SELECT path, line, what
FROM documents LEFT JOIN addressings USING (content_hash)
WHERE run_id = %(run_id)s AND content_hash IS NOT NULL
ORDER BY path;
