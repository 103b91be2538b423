-- How many documents of a run's sample have an answer or may get one; what was lost for good does not count.
SELECT count(*) AS count FROM requests
WHERE run_id = %(run_id)s AND sampled AND parent_id IS NULL AND (state <> 'open' OR left_because IS NULL OR NOT EXISTS (
    SELECT FROM calls WHERE calls.request_id = requests.request_id AND calls.state = 'lost'));
