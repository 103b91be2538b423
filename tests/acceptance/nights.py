"""Runs of the nightly DAG on a whole stack: started, watched, disturbed and compared with the bill."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from tests.support import RunningSimulator, wait_until

import backcast.reports
from backcast.ledger.connection import Ledger
from backcast.ledger.progress import RunProgress, read_progress
from backcast.local.follow import external_key, failures
from backcast.local.processes import command_line, session_members

if TYPE_CHECKING:
    from backcast.local.airflow_api import TaskState
    from backcast.local.stack import Stack

DAG = "nightly_tech_debt"
RECONCILE = "reconcile_batches"
# A day in half a minute: long enough to see the wait deferred, short enough to wait for a batch that expires.
SPEED = 2880


def start(stack: Stack, repository: Path, dag_run_id: str) -> None:
    stack.airflow.trigger(DAG, dag_run_id, {"repository": str(repository)})


def wait_for_deferral(stack: Stack, dag_run_id: str) -> TaskState:
    return wait_for_task(stack, dag_run_id, "batch.wait", "deferred")


def wait_for_task(stack: Stack, dag_run_id: str, task: str, state: str) -> TaskState:
    found: list[TaskState] = []

    def reached() -> bool:
        tasks = stack.airflow.tasks(DAG, dag_run_id)
        found[:] = [one for one in tasks if one.task_id.endswith(task) and one.state == state]
        return bool(found)

    wait_until(reached, seconds=120)
    return found[0]


def kill(stack: Stack, *titles: str) -> None:
    """Kill every process of the stack whose title contains one of these; supervisord starts its own again."""
    members = session_members(stack.supervisor._process.pid)
    victims = [pid for pid in members if any(title in command_line(pid) for title in titles)]
    assert victims
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_task(stack: Stack, dag_run_id: str, task: TaskState) -> None:
    """Kill the process in which a task works, but not the one that watches over it."""
    path = f"/api/v2/dags/{DAG}/dagRuns/{dag_run_id}/taskInstances/{task.task_id}/{task.map_index}"
    kill(stack, f"airflow worker -- {stack.airflow._get(path)['id']}")


def finish(stack: Stack, dag_run_id: str, dag_id: str = DAG) -> None:
    def ended() -> bool:
        return stack.airflow.run_state(dag_id, dag_run_id) not in ("queued", "running")

    wait_until(ended, seconds=300)
    assert stack.airflow.run_state(dag_id, dag_run_id) == "success", failures(stack, dag_id, dag_run_id)


def progress_of(stack: Stack, dag_run_id: str) -> RunProgress:
    progress = read_progress(stack.ledger, external_key(DAG, dag_run_id))
    assert progress is not None
    return progress


def batches_of(stack: Stack, dag_run_id: str) -> list[dict[str, Any]]:
    """What the ledger knows of a run's batches, the replaced ones too."""
    with Ledger(stack.ledger).connect() as connection:
        return connection.execute(
            "SELECT * FROM batches WHERE run_id = %s ORDER BY batch_id", [progress_of(stack, dag_run_id).run_id]
        ).fetchall()


def report_of(stack: Stack, dag_run_id: str) -> dict[str, Any]:
    progress = progress_of(stack, dag_run_id)
    assert progress.report_path is not None
    report: dict[str, Any] = json.loads(Path(progress.report_path).with_suffix(".json").read_bytes())
    schema = Path(backcast.reports.__file__).with_name("report.schema.json")
    jsonschema.validate(report, json.loads(schema.read_bytes()))
    return report


def check_ledger_against_bill(stack: Stack, simulator: RunningSimulator) -> None:
    """Each billed request is one of the ledger's, has no parent or one that failed before, and cost what we say."""
    bill = {request["custom_id"]: request for request in simulator.bill()}
    with Ledger(stack.ledger).connect() as connection:
        rows = connection.execute(
            """
            SELECT requests.wire_id, results.result_type, results.cost_usd, parent.state AS parent_state,
                   parent_result.received_at AS parent_received, batches.intended_at
            FROM requests
            JOIN results ON results.request_id = requests.request_id
            JOIN batches ON batches.batch_id = requests.batch_id
            LEFT JOIN requests AS parent ON parent.request_id = requests.parent_id
            LEFT JOIN results AS parent_result ON parent_result.request_id = parent.request_id
            """
        ).fetchall()
    assert {row["wire_id"] for row in rows if row["result_type"] == "succeeded"} == set(bill)
    assert len(bill) == len(simulator.bill())
    for row in rows:
        if row["wire_id"] in bill:
            assert float(row["cost_usd"]) == pytest.approx(float(bill[row["wire_id"]]["cost_usd"]))
        if row["parent_state"] is not None:
            assert row["parent_state"] == "failed"
            assert row["parent_received"] < row["intended_at"]
