-- Says beside why a request failed why it cannot be split.
UPDATE requests SET detail = concat_ws('; ', nullif(detail, ''), %(why)s::text) WHERE request_id = %(request_id)s;
