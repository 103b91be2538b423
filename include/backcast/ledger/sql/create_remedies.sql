-- Where remedies are copied to before they go into the tables.
CREATE TEMPORARY TABLE remedies (parent_id bigint NOT NULL, remedy text NOT NULL, max_tokens integer NOT NULL,
                                  variant text NOT NULL, part jsonb, part_number integer NOT NULL, answer_key text)
ON COMMIT DROP;
