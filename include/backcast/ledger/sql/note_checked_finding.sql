-- Writes down what a run says of a finding: the check that judged it, or why there is none.
INSERT INTO checked_findings (run_id, fingerprint, check_id, note)
VALUES (%(run_id)s, %(fingerprint)s, %(check_id)s, %(note)s)
ON CONFLICT (run_id, fingerprint) DO UPDATE SET check_id = excluded.check_id, note = excluded.note;
