-- Notes whether answers of a run have to fit schemas that its requests bring.
UPDATE runs SET structured = %(structured)s WHERE run_id = %(run_id)s;
