-- Writes down that nobody knows how the calls of a run ended whose task is gone.
UPDATE calls SET state = 'lost', ended_at = %(now)s, note = 'the task that made it died before it wrote down the answer'
FROM requests
WHERE requests.request_id = calls.request_id AND run_id = %(run_id)s AND calls.state = 'sent';
