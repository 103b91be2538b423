-- Keeps what the repository of a run holds.
INSERT INTO outlines (run_id, outline) VALUES (%(run_id)s, %(outline)s);
