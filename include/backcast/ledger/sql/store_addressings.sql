-- Stores what a search has found in contents, in place of what another one found.
INSERT INTO addressings (content_hash, searched_by, line, what)
SELECT content_hash, %(searched_by)s, line, what
FROM unnest(%(hashes)s::text[], %(lines)s::integer[], %(whats)s::text[]) AS found (content_hash, line, what)
ON CONFLICT (content_hash) DO UPDATE SET searched_by = excluded.searched_by, line = excluded.line, what = excluded.what;
