-- Asks a workspace nothing more until a moment that the API has named.
UPDATE synchronous_capacity
SET requests_free_at = greatest(requests_free_at, %(until)s), tokens_free_at = greatest(tokens_free_at, %(until)s)
WHERE base_url = %(base_url)s AND key_fingerprint = %(key_fingerprint)s;
