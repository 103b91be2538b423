-- Makes the requests that try again, each a child of the one that failed, which holds its claim no longer unless it was
-- split. A part that another run asks for just now is left to it.
INSERT INTO requests (run_id, document_id, answer_key, parent_id, attempt, round, remedy, max_tokens, simulated, claims,
                      synchronous, variant, part, part_number, left_because)
SELECT parent.run_id, parent.document_id, key.answer_key, parent.request_id, parent.attempt + 1, %(round)s,
       remedies.remedy, remedies.max_tokens, parent.simulated, other.run_id IS NULL, %(synchronous)s, remedies.variant,
       coalesce(remedies.part, parent.part), remedies.part_number,
       'in flight: run ' || other.run_id || ' asked for this part and had no answer in time'
FROM remedies JOIN requests AS parent ON parent.request_id = remedies.parent_id
CROSS JOIN LATERAL (SELECT coalesce(remedies.answer_key, parent.answer_key) AS answer_key) AS key
LEFT JOIN requests AS other ON remedies.part_number > 0 AND other.answer_key = key.answer_key
                           AND other.simulated = parent.simulated AND other.claims
ORDER BY key.answer_key;
