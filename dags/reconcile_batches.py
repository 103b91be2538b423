"""Catches up, every 15 minutes, on whatever was left behind: batches in doubt, results nobody read, unfinished runs."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from backcast.orchestration.tasks import reconcile

DOCUMENTATION = """### Reconcile batches

Looks for batches of which nobody knows whether they arrived, ingests what ended and was not read, finishes runs whose
DAG is paused or stale or whose tasks failed for good, in time for their deadlines, says which reports are at risk or
missed, and warns before results are deleted. It never touches a batch that is not proved to be ours, and never sends a
batch twice. A run that was marked failed or successful by hand is left as it is; what its batches answered is kept.
"""


@dag(
    dag_id="reconcile_batches",
    schedule=timedelta(minutes=15),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={"owner": "backcast", "retries": 0},
    tags=["backcast"],
    doc_md=DOCUMENTATION,
)
def reconcile_batches() -> None:
    reconcile()


reconcile_batches()
