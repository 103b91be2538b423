-- Releases the claims of what failed before a round: whether it is tried again is decided with it. What is split keeps its
-- claim, so that no other run asks for all of it while its parts are asked for.
UPDATE requests SET claims = false
WHERE run_id = %(run_id)s AND round < %(before)s AND state = 'failed' AND claims
  AND NOT EXISTS (SELECT FROM requests AS child WHERE child.parent_id = requests.request_id)
  AND NOT EXISTS (SELECT FROM remedies WHERE remedies.parent_id = requests.request_id AND part_number > 0);
