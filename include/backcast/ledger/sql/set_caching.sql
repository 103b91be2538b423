-- Sets for how long the API is to keep what all requests of a run share, and why.
UPDATE runs SET cache_ttl = %(ttl)s, caching = %(why)s WHERE run_id = %(run_id)s;
