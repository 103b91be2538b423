"""What all batch DAGs are declared with, so that a DAG file holds only its stages."""

from __future__ import annotations

from typing import Any

from backcast.orchestration.deadlines import deadline_alerts
from backcast.orchestration.form import batch_params, default_args, documentation
from backcast.orchestration.timetable import runs_at_once


def batch_dag(workflow: str) -> dict[str, Any]:
    """Return the arguments of `dag` for a workflow: all but its schedule."""
    return {
        "dag_id": workflow,
        "catchup": False,
        "max_active_runs": runs_at_once(workflow),
        "deadline": deadline_alerts(workflow),
        "default_args": default_args(),
        "params": batch_params(),
        "tags": ["backcast", "batch"],
        "doc_md": documentation(workflow),
    }
