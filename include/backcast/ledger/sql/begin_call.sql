-- Writes down a synchronous call before it is made; no row when nothing may be sent for it any more.
INSERT INTO calls (request_id, sent_at)
SELECT request_id, %(now)s
FROM requests JOIN runs USING (run_id)
WHERE request_id = %(request_id)s AND requests.state = 'open' AND claims AND left_because IS NULL
  AND runs.state = 'collected' AND canceled_at IS NULL AND held_because IS NULL
ON CONFLICT (request_id) WHERE state IN ('sent', 'answered') DO NOTHING
RETURNING call_id;
