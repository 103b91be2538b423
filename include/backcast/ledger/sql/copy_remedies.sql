COPY remedies (parent_id, remedy, max_tokens) FROM STDIN;
