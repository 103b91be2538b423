COPY collected (path, language, size, content_hash, answer_key, body, priority, prompt_bytes, model, max_tokens) FROM STDIN;
