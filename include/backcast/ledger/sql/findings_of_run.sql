-- A run's findings, each with whether the report before it had it too.
SELECT findings.*, documents.path,
       EXISTS (SELECT FROM findings AS earlier
               WHERE earlier.run_id = %(previous_run_id)s AND earlier.fingerprint = findings.fingerprint) AS persisting
FROM findings JOIN documents USING (document_id)
WHERE findings.run_id = %(run_id)s
ORDER BY path, line_start, fingerprint;
