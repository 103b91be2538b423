"""Proposes tests for the Python files of a git repository every night, as a patch of checked files, at batch price."""

from airflow.sdk import DAG

from backcast.orchestration.batch_dag import batch_dag, batch_stages

with DAG(**batch_dag("nightly_test_generation")):
    batch_stages("nightly_test_generation")
