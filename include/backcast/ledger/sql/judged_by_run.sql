-- How many findings a run has asked about and got a verdict for.
SELECT count(*) AS count FROM finding_checks WHERE run_id = %(run_id)s AND state = 'judged';
