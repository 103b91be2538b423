-- How many of a run's sample have no answer yet and may get one.
SELECT count(*) AS count FROM requests
WHERE run_id = %(run_id)s AND sampled AND parent_id IS NULL AND state = 'open' AND claims AND left_because IS NULL;
