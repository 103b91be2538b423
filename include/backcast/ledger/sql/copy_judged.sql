COPY judged (result_id, request_id, verdict, cause, detail) FROM STDIN;
