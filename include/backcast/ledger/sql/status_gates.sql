-- What the samples of runs have shown.
SELECT run_id, verdict, judged_at, scores, decided_by, why, revoked_at FROM gates
WHERE run_id = ANY (%(run_ids)s) ORDER BY run_id;
