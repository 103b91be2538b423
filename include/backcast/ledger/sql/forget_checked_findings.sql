-- Forgets why a run that is not published was to have no verdict of findings, so that it is said anew. Verdicts stay.
DELETE FROM checked_findings USING runs
WHERE runs.run_id = checked_findings.run_id AND runs.run_id = %(run_id)s AND runs.state = 'collected' AND check_id IS NULL;
