COPY collected (path, language, size, content_hash, answer_key, reason, body, priority, prompt_bytes, pdf) FROM STDIN;
