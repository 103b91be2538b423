-- The contents of a run that a search has not been through. In order of the key: two collections at once must not deadlock.
SELECT content_hash, body
FROM contents
WHERE content_hash IN (SELECT content_hash FROM documents WHERE run_id = %(run_id)s)
  AND NOT EXISTS (SELECT FROM addressings
                  WHERE addressings.content_hash = contents.content_hash AND searched_by = %(searched_by)s)
ORDER BY content_hash;
