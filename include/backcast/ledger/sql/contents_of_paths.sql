-- The content of these files of a run that are not left out.
SELECT path, content_hash FROM documents
WHERE run_id = %(run_id)s AND path = ANY (%(paths)s) AND content_hash IS NOT NULL;
