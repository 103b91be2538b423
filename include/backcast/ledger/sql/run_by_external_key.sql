-- The run that an Airflow DAG run, or a command, opened.
SELECT run_id FROM runs WHERE external_key = %(external_key)s;
