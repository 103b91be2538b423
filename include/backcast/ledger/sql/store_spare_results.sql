-- Keeps the rows of a second batch for one intent, which were paid for.
INSERT INTO spare_results (api_batch_id, wire_id, result_type, raw, cost_usd, received_at)
SELECT DISTINCT ON (wire_id) %(api_batch_id)s, wire_id, result_type, raw, cost_usd, %(now)s
FROM arrived ORDER BY wire_id
ON CONFLICT DO NOTHING;
