-- Counts a complete listing that showed no candidate for an intent in doubt.
UPDATE batches SET empty_listings = empty_listings + 1, empty_listing_at = %(now)s
WHERE batch_id = %(batch_id)s AND state = 'in_doubt'
RETURNING empty_listings;
