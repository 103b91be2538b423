-- Records that a complete listing showed a batch; counts are only believed when they were seen twice alike.
INSERT INTO sightings (api_batch_id, base_url, key_fingerprint, created_at, request_count, ended, first_seen_at,
                       last_seen_at)
VALUES (%(api_batch_id)s, %(base_url)s, %(key_fingerprint)s, %(created_at)s, %(request_count)s, %(ended)s, %(now)s,
        %(now)s)
ON CONFLICT (api_batch_id) DO UPDATE
SET times_seen = CASE WHEN sightings.request_count = excluded.request_count THEN sightings.times_seen + 1 ELSE 1 END,
    request_count = excluded.request_count, ended = excluded.ended, last_seen_at = excluded.last_seen_at;
