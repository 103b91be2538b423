"""Audits a git repository for security, correctness and licences every week, at batch price."""

from airflow.sdk import DAG

from backcast.orchestration.batch_dag import batch_dag, batch_stages

with DAG(**batch_dag("weekly_code_audit")):
    batch_stages("weekly_code_audit")
