-- The last pass that holds for a run: of requests of the same shape at the same kind of API, on at least so many documents.
SELECT earlier.run_id, judged_at
FROM runs AS this
JOIN runs AS earlier ON earlier.workflow = this.workflow AND earlier.prompt_hash = this.prompt_hash
                    AND earlier.model = this.model AND earlier.simulated = this.simulated
                    AND earlier.max_tokens = this.max_tokens AND earlier.structured = this.structured
JOIN gates ON gates.run_id = earlier.run_id
WHERE this.run_id = %(run_id)s AND verdict = 'passed' AND revoked_at IS NULL
  AND (scores ->> 'documents')::integer >= %(documents)s
ORDER BY judged_at DESC LIMIT 1;
