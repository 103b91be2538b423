-- Writes down what the sample of a run has shown, and what follows.
UPDATE gates
SET judged_at = %(now)s, verdict = %(verdict)s, scores = %(scores)s, decided_by = %(decided_by)s, why = %(why)s
WHERE run_id = %(run_id)s;
