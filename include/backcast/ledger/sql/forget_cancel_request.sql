-- Takes back that we asked for a batch to be canceled: it goes on.
UPDATE batches SET cancel_requested_at = NULL WHERE batch_id = %(batch_id)s;
