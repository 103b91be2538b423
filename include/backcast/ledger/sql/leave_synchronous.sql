-- Leaves unanswered, and to other runs, what was to be answered synchronously.
UPDATE requests SET left_because = %(why)s, claims = false
WHERE run_id = %(run_id)s AND synchronous AND state = 'open' AND claims AND left_because IS NULL
  AND (%(request_ids)s::bigint[] IS NULL OR request_id = ANY (%(request_ids)s))
RETURNING request_id;
