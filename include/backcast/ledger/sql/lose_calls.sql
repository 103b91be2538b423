-- Writes down that nobody knows how the calls of a run ended whose task is gone, and what they may have cost.
WITH lost AS (
    UPDATE calls SET state = 'lost', ended_at = %(now)s, note = 'the task that made it died before it wrote down the answer'
    FROM requests
    WHERE requests.request_id = calls.request_id AND run_id = %(run_id)s AND calls.state = 'sent'
    RETURNING calls.request_id
)
UPDATE requests SET risked_usd = risked_usd + coalesce(reserved_usd, 0), reserved_usd = NULL
FROM lost WHERE lost.request_id = requests.request_id;
