-- Gives back the money reserved for a call without a known end, as money that it may have cost: the next call must fit
-- into the budget too.
UPDATE requests SET risked_usd = risked_usd + coalesce(reserved_usd, 0), reserved_usd = NULL
WHERE request_id = %(request_id)s;
