-- Writes down who lets a run go on although its sample has failed, and why.
UPDATE gates SET verdict = 'let_pass', decided_by = %(decided_by)s, why = %(why)s
WHERE run_id = %(run_id)s AND verdict = 'failed';
