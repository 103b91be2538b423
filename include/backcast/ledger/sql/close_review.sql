-- Freezes the outcomes of a review.
UPDATE runs
SET state = 'reviewed', answered = %(answered)s, reused = %(reused)s, skipped = %(skipped)s, unanswered = %(unanswered)s
WHERE run_id = %(run_id)s;
