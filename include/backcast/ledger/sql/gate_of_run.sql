-- What the sample of a run has shown.
SELECT * FROM gates WHERE run_id = %(run_id)s;
