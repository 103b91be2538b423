COPY remedies (parent_id, remedy, max_tokens, variant) FROM STDIN;
