-- Where a packing is copied to before it goes into the tables.
CREATE TEMPORARY TABLE packed (request_id bigint NOT NULL, batch_position integer NOT NULL, position integer NOT NULL)
ON COMMIT DROP;
