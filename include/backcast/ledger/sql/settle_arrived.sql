-- Settles the requests whose results were judged as they arrived. What failed keeps its claim until it is decided about.
UPDATE requests
SET state = CASE arrived.verdict WHEN 'accepted' THEN 'accepted' ELSE 'failed' END,
    cause = arrived.cause, detail = arrived.detail,
    claims = claims AND arrived.verdict <> 'accepted' AND runs.canceled_at IS NULL AND runs.state = 'collected'
FROM arrived JOIN results USING (wire_id), runs
WHERE requests.request_id = results.request_id AND results.verdict = arrived.verdict AND results.raw = arrived.raw
  AND requests.state = 'open' AND runs.run_id = requests.run_id;
