"""What the DAG that catches up is declared with; its one task is `reconcile`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

_EVERY: Final = timedelta(minutes=15)

_DOCUMENTATION: Final = """### Reconcile batches

Looks for batches of which nobody knows whether they arrived, ingests what ended and was not read, finishes runs whose
DAG is paused or stale or whose tasks failed for good, in time for their deadlines, says which reports are at risk or
missed, and warns before results are deleted. It never touches a batch that is not proved to be ours, and never sends a
batch twice. A run that was marked failed or successful by hand is left as it is; what its batches answered is kept.
"""


def reconcile_dag() -> dict[str, Any]:
    """Return the arguments of Airflow's `DAG`; it starts unpaused, since it watches over what is paid for."""
    return {
        "dag_id": "reconcile_batches",
        "schedule": _EVERY,
        "catchup": False,
        "max_active_runs": 1,
        "is_paused_upon_creation": False,
        "default_args": {"owner": "backcast", "retries": 0},
        "tags": ["backcast"],
        "doc_md": _DOCUMENTATION,
    }
