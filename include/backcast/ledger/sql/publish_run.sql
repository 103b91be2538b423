-- Freezes a run's outcomes.
UPDATE runs
SET state = 'published', published_at = %(published_at)s, report_path = %(report_path)s, answered = %(answered)s,
    reused = %(reused)s, skipped = %(skipped)s, unanswered = %(unanswered)s
WHERE run_id = %(run_id)s;
