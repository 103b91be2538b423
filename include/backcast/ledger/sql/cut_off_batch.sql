-- Writes down that a batch is canceled at its run's cut-off, before it is; not one that somebody had canceled before.
UPDATE batches SET cut_off_at = coalesce(cut_off_at, %(now)s), cancel_requested_at = coalesce(cancel_requested_at, %(now)s)
WHERE batch_id = %(batch_id)s AND state = 'submitted' AND (cancel_requested_at IS NULL OR cut_off_at IS NOT NULL)
RETURNING batch_id;
