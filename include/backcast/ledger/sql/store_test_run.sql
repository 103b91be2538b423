-- Keeps what a check of an answer has shown, the first time.
INSERT INTO test_runs (run_id, result_id, verdict, detail, passed, seconds, checked_at)
VALUES (%(run_id)s, %(result_id)s, %(verdict)s, %(detail)s, %(passed)s, %(seconds)s, %(now)s)
ON CONFLICT DO NOTHING;
