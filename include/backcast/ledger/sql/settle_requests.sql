-- Settles the requests whose results were judged.
UPDATE requests
SET state = CASE judged.verdict WHEN 'accepted' THEN 'accepted' ELSE 'failed' END,
    cause = judged.cause, detail = judged.detail
FROM judged
WHERE judged.request_id = requests.request_id AND requests.state = 'open';
