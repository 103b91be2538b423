"""Runs of the nightly DAG on a whole stack: started, watched, disturbed and compared with the bill."""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import psycopg
import pytest
from tests.support import Night, RunningSimulator, clock, commit, git, wait_until

import backcast.reports
from backcast.domain.sampling import SampleTerms
from backcast.ledger.connection import Ledger
from backcast.ledger.progress import RunProgress, read_progress
from backcast.local.environment import simulator_url
from backcast.local.follow import external_key, failures
from backcast.local.processes import command_line, session_members
from backcast.services.collect import collect
from backcast.services.gate import gate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.local.airflow_api import TaskState
    from backcast.local.stack import Stack

DAG = "nightly_tech_debt"
RECONCILE = "reconcile_batches"
REFINE = "refine_prompt"
# A day in half a minute: long enough to see the wait deferred, short enough to wait for a batch that expires.
SPEED = 2880
KEY = {"x-api-key": "sk-simulator", "anthropic-version": "2023-06-01"}

_OF_RUN = "dag_run.id = deadline.dagrun_id AND dag_run.dag_id = %(dag_id)s AND dag_run.run_id = %(run_id)s"


def start(stack: Stack, repository: Path, dag_run_id: str, **form: Any) -> None:
    stack.airflow.trigger(DAG, dag_run_id, {"repository": str(repository), **form})


def repository_of(folder: Path, name: str, documents: int) -> Path:
    """A repository whose documents no other run has sent; batches of several sizes can be told from each other."""
    folder = folder / name
    folder.mkdir()
    for number in range(documents):
        (folder / f"{name}_{number}.py").write_text(f"NAME = {name!r}\nNUMBER = {number}\n")
    git(folder, "init", "-q")
    commit(folder, "planted")
    return folder


def prove_the_prompt(stack: Stack, folder: Path) -> None:
    """Let the prompt pass for runs of any size, by a run beside Airflow that is as large as a sample."""
    night = Night(Ledger(stack.ledger), simulator_url(stack.ports), folder)
    repository = repository_of(folder, "proof", SampleTerms().documents)
    run_id = night.open("proof", repository=str(repository))
    collect(night.ledger, clock, run_id, cache=folder / "cache")
    assert gate(night.ledger, night.api, clock, run_id).verdict == "passed"
    night.publish(run_id)


def faults(simulator: RunningSimulator, *wanted: dict[str, Any]) -> None:
    simulator.http.post("/simulator/faults", json=list(wanted)).raise_for_status()


def listed(simulator: RunningSimulator) -> dict[str, dict[str, Any]]:
    answer = simulator.http.get("/v1/messages/batches", params={"limit": 1000}, headers=KEY)
    return {batch["id"]: batch for batch in answer.raise_for_status().json()["data"]}


def wait_for_deferral(stack: Stack, dag_run_id: str) -> TaskState:
    return wait_for_task(stack, dag_run_id, "batch.wait", "deferred")


def wait_for_task(stack: Stack, dag_run_id: str, task: str, state: str, dag_id: str = DAG) -> TaskState:
    found: list[TaskState] = []

    def reached() -> bool:
        tasks = stack.airflow.tasks(dag_id, dag_run_id)
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


def succeed_by_hand(stack: Stack, dag_run_id: str) -> None:
    path = f"/api/v2/dags/{DAG}/dagRuns/{dag_run_id}"
    stack.airflow._request("PATCH", path, json={"state": "success"}).raise_for_status()


def clear(stack: Stack, dag_run_id: str, task: TaskState) -> None:
    """Clear one task and nothing else, as a person may at any time."""
    body = {
        "dry_run": False,
        "dag_run_id": dag_run_id,
        "task_ids": [[task.task_id, task.map_index]],
        "only_failed": False,
    }
    stack.airflow._request("POST", f"/api/v2/dags/{DAG}/clearTaskInstances", json=body).raise_for_status()


@contextmanager
def dag_paused(stack: Stack, dag_id: str = DAG) -> Iterator[None]:
    _pause(stack, dag_id, paused=True)
    try:
        yield
    finally:
        _pause(stack, dag_id, paused=False)


def _pause(stack: Stack, dag_id: str, *, paused: bool) -> None:
    stack.airflow._request("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": paused}).raise_for_status()


def let_time_pass(stack: Stack, dag_run_id: str, left: timedelta) -> None:
    """Make a run older, in the ledger and in Airflow, so that only so much time is left until it is due."""
    passed = progress_of(stack, dag_run_id).deadline - datetime.now(UTC) - left
    with Ledger(stack.ledger).connect() as connection:
        connection.execute(
            "UPDATE runs SET opened_at = opened_at - %(passed)s, deadline = deadline - %(passed)s "
            "WHERE external_key = %(key)s",
            {"passed": passed, "key": external_key(DAG, dag_run_id)},
        )
    with psycopg.connect(stack.server.dsn("airflow")) as airflow:
        airflow.execute(
            "UPDATE deadline SET deadline_time = deadline_time - %(passed)s FROM dag_run "
            f"WHERE {_OF_RUN} AND NOT missed",
            {"passed": passed, "dag_id": DAG, "run_id": dag_run_id},
        )


def callbacks_of(stack: Stack, dag_run_id: str) -> list[str]:
    """How Airflow's callbacks stand for the deadlines of a run that have passed."""
    with psycopg.connect(stack.server.dsn("airflow")) as airflow:
        rows = airflow.execute(
            "SELECT callback.state FROM deadline JOIN callback ON callback.id = deadline.callback_id, dag_run "
            f"WHERE {_OF_RUN} AND missed",
            {"dag_id": DAG, "run_id": dag_run_id},
        ).fetchall()
    return [state for (state,) in rows]


def deadline_alerts_of(stack: Stack, dag_run_id: str) -> list[str]:
    """Which alerts the ledger has about the deadline of a run, in the order in which they were raised."""
    with Ledger(stack.ledger).connect() as connection:
        rows = connection.execute(
            "SELECT kind FROM alerts WHERE subject = %s ORDER BY alert_id", [external_key(DAG, dag_run_id)]
        ).fetchall()
    return [row["kind"] for row in rows]


def reconcile(stack: Stack, dag_run_id: str) -> str:
    """Let the DAG catch up once, and return what it said."""
    stack.airflow.trigger(RECONCILE, dag_run_id, {})
    finish(stack, dag_run_id, RECONCILE)
    (task,) = stack.airflow.tasks(RECONCILE, dag_run_id)
    return "\n".join(stack.airflow.task_log(RECONCILE, dag_run_id, task))


def progress_of(stack: Stack, dag_run_id: str, dag_id: str = DAG) -> RunProgress:
    progress = read_progress(stack.ledger, external_key(dag_id, dag_run_id))
    assert progress is not None
    return progress


def batches_of(stack: Stack, dag_run_id: str, dag_id: str = DAG) -> list[dict[str, Any]]:
    """What the ledger knows of a run's batches, the replaced ones too."""
    with Ledger(stack.ledger).connect() as connection:
        return connection.execute(
            "SELECT * FROM batches WHERE run_id = %s ORDER BY batch_id", [progress_of(stack, dag_run_id, dag_id).run_id]
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
    charges = simulator.bill()
    bill = {charge["custom_id"]: charge for charge in charges if charge["kind"] == "batch"}
    synchronous = [float(charge["cost_usd"]) for charge in charges if charge["kind"] == "synchronous"]
    with Ledger(stack.ledger).connect() as connection:
        rows = connection.execute(
            """
            SELECT requests.wire_id, results.result_type, results.cost_usd, parent.state AS parent_state,
                   parent_result.received_at AS parent_received,
                   coalesce(batches.intended_at, calls.sent_at) AS asked_at
            FROM requests
            JOIN results ON results.request_id = requests.request_id
            LEFT JOIN batches ON batches.batch_id = requests.batch_id
            LEFT JOIN calls ON calls.call_id = results.call_id
            LEFT JOIN requests AS parent ON parent.request_id = requests.parent_id
            LEFT JOIN results AS parent_result ON parent_result.request_id = parent.request_id
            """
        ).fetchall()
    answered = [row for row in rows if row["result_type"] == "succeeded"]
    assert {row["wire_id"] for row in answered if row["wire_id"]} == set(bill)
    assert len(bill) + len(synchronous) == len(charges)
    # A synchronous charge names no request of ours.
    costs = [float(row["cost_usd"]) for row in answered if not row["wire_id"]]
    assert sorted(costs) == pytest.approx(sorted(synchronous))
    for row in rows:
        if row["wire_id"] in bill:
            assert float(row["cost_usd"]) == pytest.approx(float(bill[row["wire_id"]]["cost_usd"]))
        if row["parent_state"] is not None:
            assert row["parent_state"] == "failed"
            assert row["parent_received"] < row["asked_at"]
