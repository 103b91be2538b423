-- Forgets what a run that is not published was to say of its findings, so that it is said anew.
DELETE FROM checked_findings USING runs
WHERE runs.run_id = checked_findings.run_id AND runs.run_id = %(run_id)s AND runs.state = 'collected';
