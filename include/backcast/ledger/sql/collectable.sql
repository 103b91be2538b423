-- How many documents of a run are to be analysed.
SELECT count(*) AS count FROM documents WHERE run_id = %(run_id)s AND content_hash IS NOT NULL;
