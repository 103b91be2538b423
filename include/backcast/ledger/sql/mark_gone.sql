-- The results of a batch cannot be had any more.
UPDATE batches SET gone_at = coalesce(gone_at, %(now)s) WHERE batch_id = %(batch_id)s;
