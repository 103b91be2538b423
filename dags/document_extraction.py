"""Extracts rows from documents that arrive in a folder or an object store, every four hours, at batch price."""

from airflow.sdk import DAG

from backcast.orchestration.batch_dag import batch_dag, batch_stages

with DAG(**batch_dag("document_extraction")):
    batch_stages("document_extraction")
