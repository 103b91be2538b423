-- Settles what is left as unanswered, with the reason of its last request; where it was split, of the first part that has no
-- answer, what a person must look at first, and one that failed before one that was left.
UPDATE documents
SET outcome = 'unanswered',
    reason = coalesce(
        (SELECT coalesce('lines ' || (part ->> 'first') || ' to ' || (part ->> 'last') || ': ', '') ||
                CASE WHEN left_because IS NOT NULL AND requests.state = 'open' THEN left_because
                     WHEN requests.state <> 'open' THEN cause || coalesce(': ' || nullif(detail, ''), '')
                     WHEN runs.canceled_at IS NOT NULL THEN 'canceled: the run was canceled'
                     ELSE 'taken over: the run was left, and another run asked for this' END
         FROM requests JOIN runs USING (run_id)
         WHERE requests.run_id = documents.run_id AND requests.state <> 'accepted'
           AND requests.document_id = (SELECT document_id FROM requests AS root
                                       WHERE root.run_id = documents.run_id AND root.parent_id IS NULL
                                         AND root.answer_key = documents.answer_key)
           AND NOT EXISTS (SELECT FROM requests AS child WHERE child.parent_id = requests.request_id)
         ORDER BY (cause = ANY (%(reviewed)s)) IS TRUE DESC, (requests.state = 'failed') DESC, (part ->> 'first')::integer LIMIT 1),
        (SELECT 'in flight: run ' || claim.run_id || ' asked for it and had no answer in time'
         FROM requests AS claim JOIN runs ON runs.run_id = documents.run_id AND runs.simulated = claim.simulated
         WHERE claim.answer_key = documents.answer_key AND claims),
        'never sent')
WHERE run_id = %(run_id)s AND outcome IS NULL;
