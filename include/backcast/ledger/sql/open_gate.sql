-- Writes down that a run is to be proved on a sample.
INSERT INTO gates (run_id, opened_at) VALUES (%(run_id)s, %(now)s);
