-- Writes down a synchronous call that has ended.
INSERT INTO calls (request_id, state, sent_at, ended_at, note)
VALUES (%(request_id)s, %(state)s, %(sent_at)s, %(ended_at)s, %(note)s)
RETURNING call_id;
