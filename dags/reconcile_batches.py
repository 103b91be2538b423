"""Catches up, every 15 minutes, on whatever was left behind: batches in doubt, results nobody read, unfinished runs."""

from airflow.sdk import DAG

from backcast.orchestration.reconcile_dag import reconcile_dag
from backcast.orchestration.tasks import reconcile

with DAG(**reconcile_dag()):
    reconcile()
