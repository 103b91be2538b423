-- Writes down what a run that is not published says of a finding: the check that judged it, or why there is none. A verdict
-- stays: whoever has none may not know of it.
INSERT INTO checked_findings (run_id, fingerprint, check_id, note)
SELECT run_id, %(fingerprint)s, %(check_id)s, %(note)s FROM runs WHERE run_id = %(run_id)s AND state = 'collected'
ON CONFLICT (run_id, fingerprint) DO UPDATE SET check_id = excluded.check_id, note = excluded.note
WHERE excluded.check_id IS NOT NULL OR checked_findings.check_id IS NULL;
