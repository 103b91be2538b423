-- Settles the requests whose results were judged. What failed keeps its claim until it is decided about.
UPDATE requests
SET state = CASE judged.verdict WHEN 'accepted' THEN 'accepted' ELSE 'failed' END,
    cause = judged.cause, detail = judged.detail,
    claims = claims AND judged.verdict <> 'accepted' AND runs.canceled_at IS NULL AND runs.state = 'collected'
FROM judged, runs
WHERE judged.request_id = requests.request_id AND requests.state = 'open' AND runs.run_id = requests.run_id;
