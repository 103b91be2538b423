-- The sizes in bytes of what a run will submit once its sample has passed.
SELECT prompt_bytes
FROM requests JOIN documents USING (document_id)
WHERE requests.run_id = %(run_id)s AND requests.state = 'open' AND claims AND left_because IS NULL AND NOT sampled
  AND parent_id IS NULL;
