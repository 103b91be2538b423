-- Writes down that we ask for a batch to be canceled, before we do.
UPDATE batches SET cancel_requested_at = coalesce(cancel_requested_at, %(now)s) WHERE batch_id = %(batch_id)s;
