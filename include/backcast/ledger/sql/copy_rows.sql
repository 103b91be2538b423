COPY extracted_rows (run_id, document_id, position, "row", verified) FROM STDIN;
