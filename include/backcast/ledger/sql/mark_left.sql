-- Writes down which of the runs that are not over nobody works on any more, since somebody ended them by hand.
UPDATE runs SET left_at = CASE WHEN run_id = ANY (%(run_ids)s) THEN coalesce(left_at, %(now)s) END
WHERE state IN ('open', 'collected') AND (left_at IS NOT NULL) <> (run_id = ANY (%(run_ids)s));
