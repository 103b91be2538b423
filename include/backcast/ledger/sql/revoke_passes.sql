-- Takes back every pass of requests of the shape of a run's, so that the next run is proved again.
UPDATE gates SET revoked_at = %(now)s
FROM runs AS this, runs AS passed
WHERE this.run_id = %(run_id)s AND passed.run_id = gates.run_id AND verdict = 'passed' AND revoked_at IS NULL
  AND passed.workflow = this.workflow AND passed.prompt_hash = this.prompt_hash AND passed.model = this.model
  AND passed.simulated = this.simulated AND passed.max_tokens = this.max_tokens AND passed.structured = this.structured
RETURNING gates.run_id;
