-- Settles a request that was answered synchronously. What failed keeps its claim until it is decided about.
UPDATE requests
SET state = CASE %(verdict)s WHEN 'accepted' THEN 'accepted' ELSE 'failed' END, cause = %(cause)s, detail = %(detail)s,
    claims = claims AND %(verdict)s <> 'accepted'
WHERE request_id = %(request_id)s;
