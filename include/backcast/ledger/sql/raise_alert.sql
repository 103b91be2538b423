-- Says once, for each kind and subject, what a person should look at.
INSERT INTO alerts (kind, subject, run_id, batch_id, message, raised_at, told_at)
VALUES (%(kind)s, %(subject)s, %(run_id)s, %(batch_id)s, %(message)s, %(now)s, %(told_at)s)
ON CONFLICT (kind, subject) DO NOTHING
RETURNING alert_id;
