-- How far the synchronous answering of a run is; what failed waits to be decided about. While the run is being proved,
-- its sample alone waits.
SELECT count(*) FILTER (WHERE synchronous AND state = 'accepted') AS answered,
       count(*) FILTER (WHERE left_because IS NOT NULL AND state = 'open') AS left,
       count(*) FILTER (WHERE synchronous AND state = 'open' AND claims AND left_because IS NULL
                        AND (sampled OR NOT EXISTS (
                            SELECT FROM gates WHERE gates.run_id = requests.run_id AND verdict IS NULL))) AS waiting,
       count(*) FILTER (WHERE state = 'failed' AND claims AND NOT EXISTS (
           SELECT FROM requests AS child WHERE child.parent_id = requests.request_id)) AS undecided
FROM requests WHERE run_id = %(run_id)s;
