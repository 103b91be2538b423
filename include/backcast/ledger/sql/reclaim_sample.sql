-- Claims again what a sample had to release while nobody went on with it, and no other run has asked for since.
UPDATE requests SET claims = true
WHERE run_id = %(run_id)s AND sampled AND state = 'open' AND NOT claims AND left_because IS NULL
  AND NOT EXISTS (SELECT FROM requests AS other
                  WHERE other.answer_key = requests.answer_key AND other.simulated = requests.simulated AND other.claims)
  AND NOT EXISTS (SELECT FROM results
                  WHERE results.answer_key = requests.answer_key AND results.simulated = requests.simulated
                    AND verdict = 'accepted');
