COPY remedies (parent_id, remedy, max_tokens, variant, part, part_number, answer_key) FROM STDIN;
