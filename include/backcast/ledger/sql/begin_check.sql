-- Writes a conversation down before it is begun; no row when nothing may be asked for its run any more, or somebody asked.
INSERT INTO finding_checks (run_id, check_key, fingerprint, content_hash, prompt_hash, model, sent_at, reserved_usd)
SELECT run_id, %(check_key)s, %(fingerprint)s, %(content_hash)s, %(prompt_hash)s, model, %(now)s, %(reserved_usd)s
FROM runs
WHERE run_id = %(run_id)s AND state = 'collected' AND canceled_at IS NULL AND held_because IS NULL
ON CONFLICT (check_key) WHERE state IN ('sent', 'judged') DO NOTHING
RETURNING check_id;
