-- How many requests a run is about to send, and what those of the last 30 days with its prompt and model, which asked for
-- caching in a batch, read from the cache and wrote to it, in tokens. Older ones say little of the API as it is, and what
-- did not pay is to be tried again some day.
SELECT (SELECT count(*) FROM requests WHERE requests.run_id = this.run_id AND left_because IS NULL) AS sending,
       count(*) FILTER (WHERE result_id IS NOT NULL) AS measured,
       coalesce(sum(cache_read_tokens), 0) AS read_tokens, coalesce(sum(cache_write_tokens), 0) AS written_tokens
FROM runs AS this
LEFT JOIN runs AS earlier
       ON earlier.prompt_hash = this.prompt_hash AND earlier.model = this.model AND earlier.simulated = this.simulated
      AND earlier.cache_ttl = %(ttl)s
      AND earlier.opened_at > this.opened_at - interval '30 days'
LEFT JOIN requests ON requests.run_id = earlier.run_id AND requests.variant <> 'simplified'
LEFT JOIN results ON results.request_id = requests.request_id AND result_type = 'succeeded'
                 AND results.batch_id IS NOT NULL
WHERE this.run_id = %(run_id)s
GROUP BY this.run_id;
