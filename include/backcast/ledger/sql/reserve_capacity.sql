-- Gives away the next moment at which a workspace may be asked, for so many seconds by requests and by tokens.
INSERT INTO synchronous_capacity AS capacity (base_url, key_fingerprint, requests_free_at, tokens_free_at)
VALUES (%(base_url)s, %(key_fingerprint)s, %(now)s + %(a_request)s, %(now)s + %(the_tokens)s)
ON CONFLICT (base_url, key_fingerprint) DO UPDATE
SET requests_free_at = greatest(capacity.requests_free_at, %(now)s) + %(a_request)s,
    tokens_free_at = greatest(capacity.tokens_free_at, %(now)s) + %(the_tokens)s
RETURNING greatest(requests_free_at - %(a_request)s, tokens_free_at - %(the_tokens)s) AS at;
