-- A run by the same key that is due earlier and is being answered synchronously just now.
SELECT runs.run_id
FROM runs AS this JOIN runs ON runs.base_url = this.base_url AND runs.simulated = this.simulated
WHERE this.run_id = %(run_id)s AND (runs.deadline, runs.run_id) < (this.deadline, this.run_id)
  AND runs.state = 'collected' AND runs.canceled_at IS NULL AND runs.held_because IS NULL
  AND runs.rescuing_key = %(key_fingerprint)s AND runs.rescuing_at > %(now)s - interval '5 minutes'
  AND EXISTS (SELECT FROM requests
              WHERE requests.run_id = runs.run_id AND synchronous AND requests.state = 'open' AND claims
                AND left_because IS NULL AND reserved_usd IS NOT NULL)
LIMIT 1;
