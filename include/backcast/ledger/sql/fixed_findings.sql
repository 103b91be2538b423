-- What the report before had and this one has not, leaving out documents that got no answer this time.
SELECT earlier.*, documents.path
FROM findings AS earlier JOIN documents USING (document_id)
WHERE earlier.run_id = %(previous_run_id)s
  AND NOT EXISTS (SELECT FROM findings
                  WHERE findings.run_id = %(run_id)s AND findings.fingerprint = earlier.fingerprint)
  AND NOT EXISTS (SELECT FROM documents AS now
                  WHERE now.run_id = %(run_id)s AND now.path = documents.path
                    AND now.outcome IN ('unanswered', 'skipped'))
ORDER BY path, earlier.line_start, earlier.fingerprint;
