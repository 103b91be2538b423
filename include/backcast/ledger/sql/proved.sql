-- Whether anything of a run may be submitted to a model: requests of its shape have passed, or somebody let it pass.
SELECT EXISTS (
    SELECT FROM runs AS this
    JOIN runs AS earlier ON earlier.workflow = this.workflow AND earlier.prompt_hash = this.prompt_hash
                        AND earlier.model = this.model AND earlier.simulated = this.simulated
                        AND earlier.max_tokens = this.max_tokens AND earlier.structured = this.structured
    JOIN gates ON gates.run_id = earlier.run_id
    WHERE this.run_id = %(run_id)s
      AND (verdict = 'passed' OR (verdict = 'let_pass' AND earlier.run_id = this.run_id))) AS proved;
