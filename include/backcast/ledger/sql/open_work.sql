-- What is open of a run and of the runs at the same API that are due no later, by run and by batch that still runs; it
-- may all have to be answered synchronously. What is being answered, or is about to be, is marked so. What was split is
-- not open: its parts are.
SELECT requests.run_id, runs.rescue,
       CASE WHEN requests.state = 'open' AND batches.state = 'submitted' AND cancel_requested_at IS NULL
            THEN batches.batch_id END AS batch_id,
       (synchronous OR requests.state = 'failed' OR cut_off_at IS NOT NULL) AND runs.held_because IS NULL AS draining,
       (batches.state IN ('intended', 'in_doubt', 'submitted', 'ended')) IS TRUE AND requests.state = 'open'
           AND (batches.state <> 'submitted' OR cut_off_at IS NOT NULL) AS unresolved,
       count(*) AS requests, sum(coalesce((part ->> 'bytes')::bigint, prompt_bytes)) AS prompt_bytes,
       sum(octet_length(system_template) + octet_length(answer_schema)
           + CASE WHEN strpos(system_template, 'examples') > 0 THEN octet_length(examples::text) ELSE 0 END)
           AS shared_bytes
FROM runs AS this
JOIN runs ON runs.base_url = this.base_url AND runs.simulated = this.simulated AND runs.deadline <= this.deadline
         AND (runs.run_id = this.run_id OR runs.deadline > %(now)s)
JOIN prompt_versions ON prompt_versions.prompt_hash = runs.prompt_hash
JOIN requests ON requests.run_id = runs.run_id
JOIN documents USING (document_id)
LEFT JOIN batches ON batches.batch_id = requests.batch_id
WHERE this.run_id = %(run_id)s AND runs.state = 'collected' AND NOT runs.dry_run AND runs.canceled_at IS NULL
  AND (runs.run_id = this.run_id OR runs.left_at IS NULL) AND claims AND left_because IS NULL
  AND NOT (requests.state = 'failed'
           AND EXISTS (SELECT FROM requests AS child WHERE child.parent_id = requests.request_id))
GROUP BY 1, 2, 3, 4, 5;
