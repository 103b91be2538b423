-- Keeps rows that answer no request of this batch, so that somebody can look at them.
INSERT INTO unknown_rows (batch_id, row_hash, raw, received_at)
SELECT DISTINCT %(batch_id)s::bigint, encode(sha256(convert_to(wire_id || raw, 'UTF8')), 'hex'), raw, %(now)s
FROM arrived
WHERE NOT EXISTS (
    SELECT FROM requests WHERE requests.wire_id = arrived.wire_id AND requests.batch_id = %(batch_id)s)
ON CONFLICT DO NOTHING;
