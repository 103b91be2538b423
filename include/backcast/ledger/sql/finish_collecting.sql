-- Records what was collected and what it will cost at most.
UPDATE runs
SET state = 'collected', commit_id = %(commit_id)s, committed_at = %(committed_at)s,
    collected = (SELECT count(*) FROM documents WHERE documents.run_id = runs.run_id),
    estimated_requests = (SELECT count(*) FROM requests WHERE requests.run_id = runs.run_id AND left_because IS NULL),
    estimated_usd = %(estimated_usd)s
WHERE run_id = %(run_id)s;
