-- Settles a request that was answered synchronously. What failed keeps its claim until it is decided about; of a sample
-- nothing goes again.
UPDATE requests
SET state = CASE %(verdict)s WHEN 'accepted' THEN 'accepted' ELSE 'failed' END, cause = %(cause)s, detail = %(detail)s,
    claims = claims AND %(verdict)s <> 'accepted' AND runs.canceled_at IS NULL AND runs.state = 'collected'
             AND runs.kind <> 'sample'
FROM runs
WHERE request_id = %(request_id)s AND runs.run_id = requests.run_id;
