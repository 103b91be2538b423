-- Releases the claims on what was split and of whose parts none is claimed any more. A document whose parts are all
-- accepted is about to be answered, and keeps its claim until it is.
UPDATE requests SET claims = false
FROM (
    WITH RECURSIVE below AS (
        SELECT split.request_id AS split_id, split.part AS split_part, part.request_id, part.claims, part.state
        FROM requests AS split JOIN requests AS part ON part.parent_id = split.request_id AND part.part_number > 0
        WHERE split.run_id = %(run_id)s AND split.claims
        UNION ALL
        SELECT split_id, split_part, child.request_id, child.claims, child.state
        FROM below JOIN requests AS child ON child.parent_id = below.request_id
    )
    SELECT split_id
    FROM below
    WHERE NOT EXISTS (SELECT FROM requests AS child WHERE child.parent_id = below.request_id)
    GROUP BY split_id, split_part
    HAVING NOT bool_or(claims) AND (split_part IS NOT NULL OR NOT bool_and(state = 'accepted'))
) AS over
WHERE over.split_id = requests.request_id;
