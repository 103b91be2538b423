-- The rows that a run wrote, as JSON text, with the documents they are from.
SELECT path, content_hash, position, verified, "row"::text AS "row"
FROM extracted_rows JOIN documents USING (document_id)
WHERE extracted_rows.run_id = %(run_id)s
ORDER BY path, position;
