-- Releases the claims on what was split and of whose parts none is claimed any more.
UPDATE requests SET claims = false
WHERE run_id = %(run_id)s AND state = 'failed' AND claims
  AND EXISTS (SELECT FROM requests AS child WHERE child.parent_id = requests.request_id)
  AND NOT EXISTS (
      WITH RECURSIVE below AS (
          SELECT request_id, claims FROM requests AS child WHERE child.parent_id = requests.request_id
          UNION ALL
          SELECT child.request_id, child.claims
          FROM below JOIN requests AS child ON child.parent_id = below.request_id
      )
      SELECT FROM below
      WHERE claims AND NOT EXISTS (
          SELECT FROM requests AS part
          WHERE part.parent_id = below.request_id AND part.part_number > 0));
