-- Stores the documents of a run; what was left out is settled at once.
INSERT INTO documents (run_id, path, language, size, content_hash, answer_key, outcome, reason, priority, prompt_bytes, model,
                       max_tokens)
SELECT %(run_id)s, path, language, size, content_hash, answer_key,
       CASE WHEN content_hash IS NULL THEN 'skipped' END, reason, priority, prompt_bytes, model, max_tokens
FROM collected;
