COPY packed (request_id, batch_position, position) FROM STDIN;
