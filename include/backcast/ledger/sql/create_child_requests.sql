-- Makes the requests that try again, each a child of the one that failed, which holds its claim no longer. Where another
-- run has claimed the content meanwhile, that run's answer will do.
INSERT INTO requests (run_id, document_id, answer_key, parent_id, attempt, round, remedy, max_tokens, simulated, claims,
                      synchronous, variant)
SELECT parent.run_id, parent.document_id, parent.answer_key, parent.request_id, parent.attempt + 1, %(round)s,
       remedies.remedy, remedies.max_tokens, parent.simulated, true, %(synchronous)s, remedies.variant
FROM remedies JOIN requests AS parent ON parent.request_id = remedies.parent_id
ORDER BY parent.answer_key;
