-- Every intent without a known end, or those of one run.
SELECT batch_id, run_id, request_count, base_url, key_fingerprint, server_time, intended_at, send_by, note,
       empty_listings
FROM batches WHERE state = 'in_doubt' AND (%(run_id)s::bigint IS NULL OR run_id = %(run_id)s)
ORDER BY batch_id;
