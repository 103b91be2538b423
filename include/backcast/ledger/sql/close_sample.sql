-- Freezes the outcomes of a sample.
UPDATE runs
SET state = 'scored', answered = %(answered)s, reused = %(reused)s, skipped = %(skipped)s, unanswered = %(unanswered)s
WHERE run_id = %(run_id)s;
