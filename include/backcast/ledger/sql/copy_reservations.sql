COPY reservations (request_id, reserved_usd, left_because) FROM STDIN;
