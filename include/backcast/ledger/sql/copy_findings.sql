COPY findings (run_id, fingerprint, document_id, line_start, line_end, category, severity, effort, title, why,
               suggestion, evidence) FROM STDIN;
