-- Writes down how a conversation about a finding ended.
UPDATE finding_checks
SET state = CASE WHEN %(verdict)s::text IS NULL THEN 'failed' ELSE 'judged' END, ended_at = %(now)s, reserved_usd = NULL,
    verdict = %(verdict)s, note = %(note)s, evidence = %(evidence)s, cost_usd = %(cost_usd)s, risked_usd = %(risked_usd)s,
    turns = %(turns)s, input_tokens = %(input_tokens)s, output_tokens = %(output_tokens)s
WHERE check_id = %(check_id)s AND state = 'sent';
