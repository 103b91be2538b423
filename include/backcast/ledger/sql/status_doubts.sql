-- Every intent without a known end.
SELECT batch_id, run_id, request_count, base_url, key_fingerprint, server_time, intended_at, send_by, note,
       empty_listings
FROM batches WHERE state = 'in_doubt' ORDER BY batch_id;
