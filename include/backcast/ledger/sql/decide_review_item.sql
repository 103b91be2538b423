-- Decides about an item of the review lane.
UPDATE review_lane SET state = %(state)s, decided_at = %(now)s, note = %(note)s
WHERE item_id = %(item_id)s AND state <> %(state)s AND (state = 'open' OR %(state)s = 'retry')
RETURNING item_id;
