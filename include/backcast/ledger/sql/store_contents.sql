-- Stores each content once, whoever brought it first. In order of the key: two collections at once must not deadlock.
INSERT INTO contents (content_hash, body, pdf)
SELECT DISTINCT ON (content_hash) content_hash, body, pdf
FROM collected
WHERE content_hash IS NOT NULL
ORDER BY content_hash
ON CONFLICT (content_hash) DO NOTHING;
