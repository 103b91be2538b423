-- The requests of a run for which no money is reserved yet, in the order in which they get it.
SELECT request_id,
       coalesce((part ->> 'bytes')::bigint, prompt_bytes)
           + CASE WHEN parent_id IS NULL THEN 0 ELSE coalesce(octet_length(paused_turns(request_id)::text), 0) END
           AS prompt_bytes,
       requests.max_tokens, synchronous, variant, parent_id IS NOT NULL AS retry
FROM requests JOIN documents USING (document_id)
WHERE requests.run_id = %(run_id)s AND requests.state = 'open' AND claims AND left_because IS NULL
  AND reserved_usd IS NULL
ORDER BY priority, documents.size, path, part_number, request_id;
