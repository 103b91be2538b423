-- Gives back what samples past their deadline have claimed, with the money reserved for it: whoever scored them is dead. What
-- a call without a known end may have cost stays counted. What somebody works on just now is skipped, not waited for.
UPDATE requests
SET claims = false, reserved_usd = NULL,
    risked_usd = risked_usd + CASE WHEN EXISTS (SELECT FROM calls
                                                WHERE calls.request_id = requests.request_id AND calls.state = 'sent')
                                   THEN coalesce(reserved_usd, 0) ELSE 0 END
FROM (
    SELECT request_id
    FROM requests JOIN runs USING (run_id)
    WHERE runs.kind = 'sample' AND runs.deadline < %(now)s AND requests.state = 'open' AND claims
    ORDER BY request_id FOR UPDATE OF requests SKIP LOCKED
) AS left_behind
WHERE left_behind.request_id = requests.request_id;
