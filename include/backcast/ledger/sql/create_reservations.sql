-- Where reservations are copied to before they go into the tables.
CREATE TEMPORARY TABLE reservations (
    request_id bigint NOT NULL, reserved_usd numeric NOT NULL, left_because text
) ON COMMIT DROP;
