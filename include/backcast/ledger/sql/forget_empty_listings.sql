-- A candidate has come up, so what earlier listings lacked proves nothing.
UPDATE batches SET empty_listings = 0, empty_listing_at = NULL WHERE batch_id = %(batch_id)s AND empty_listings > 0;
