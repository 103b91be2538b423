-- Writes down that nobody knows how these conversations ended, since the task that had them is gone, and what they may
-- have cost.
UPDATE finding_checks
SET state = 'lost', ended_at = %(now)s, risked_usd = reserved_usd, reserved_usd = NULL,
    note = 'the task that asked died before it wrote down the answer'
FROM runs
WHERE runs.run_id = finding_checks.run_id AND finding_checks.state = 'sent'
  AND runs.workflow = %(workflow)s AND runs.repository = %(repository)s;
