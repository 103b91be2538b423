-- The requests of a run about whole documents that were split and whose last parts are all accepted, with the lines and
-- the answer of each of these.
WITH RECURSIVE below AS (
    SELECT split.request_id AS split_id, part.request_id, part.state, part.part
    FROM requests AS split JOIN requests AS part ON part.parent_id = split.request_id AND part.part_number > 0
    WHERE split.run_id = %(run_id)s AND split.part IS NULL
      AND NOT EXISTS (SELECT FROM requests AS merged
                      WHERE merged.parent_id = split.request_id AND merged.remedy = 'merged')
    UNION ALL
    SELECT split_id, child.request_id, child.state, child.part
    FROM below JOIN requests AS child ON child.parent_id = below.request_id
)
SELECT split_id, array_agg((part ->> 'first')::integer ORDER BY (part ->> 'first')::integer) AS firsts,
       array_agg((part ->> 'last')::integer ORDER BY (part ->> 'first')::integer) AS lasts, array_agg(raw ORDER BY (part ->> 'first')::integer) AS answers
FROM below LEFT JOIN results USING (request_id)
WHERE NOT EXISTS (SELECT FROM requests AS child WHERE child.parent_id = below.request_id)
GROUP BY split_id HAVING bool_and(state = 'accepted');
