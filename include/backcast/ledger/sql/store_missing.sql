-- Gives each request that no read of the results contained a result of its own.
INSERT INTO results (request_id, wire_id, batch_id, result_type, raw, received_at, answer_key, simulated)
SELECT requests.request_id, requests.wire_id, requests.batch_id, 'missing', '{"type": "missing"}', %(now)s,
       requests.answer_key, %(simulated)s
FROM requests LEFT JOIN results USING (request_id)
WHERE requests.batch_id = %(batch_id)s AND result_id IS NULL
ON CONFLICT DO NOTHING;
