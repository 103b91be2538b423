"""Answers that are lost, processes that are killed and runs that are left: no document is paid for twice.

A create call that never arrived cannot be tried here: its absence is proved after 27 real minutes at the earliest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from tests.acceptance.nights import (
    DAG,
    SPEED,
    batches_of,
    check_ledger_against_bill,
    dag_paused,
    faults,
    finish,
    kill,
    kill_task,
    listed,
    progress_of,
    reconcile,
    report_of,
    repository_of,
    start,
    wait_for_deferral,
    wait_for_task,
)
from tests.support import RunningSimulator, wait_until

from backcast.domain.errors import BackcastError
from backcast.local.environment import simulator_url, stack_environment
from backcast.local.ports import free_ports
from backcast.local.processes import session_members

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backcast.local.airflow_api import TaskState
    from backcast.local.stack import Stack

DAY = 86_400


def paid_documents(simulator: RunningSimulator) -> int:
    return len(simulator.bill())


def test_a_lost_answer_a_killed_task_and_a_killed_scheduler_cost_nothing(stack: Stack, tmp_path: Path) -> None:
    simulator = RunningSimulator(simulator_url(stack.ports))
    paid_before, listed_before = paid_documents(simulator), set(listed(simulator))

    # Not listed for 15 real seconds, so that the first look cannot find it.
    faults(simulator, {"kind": "drop", "when": "after"}, {"kind": "list_lag", "seconds": 15 * SPEED})
    start(stack, repository_of(tmp_path, "lost", 2), "lost")
    wait = wait_for_deferral(stack, "lost")
    assert [batch["state"] for batch in batches_of(stack, "lost")] == ["in_doubt"]
    assert "It may have been accepted, and paid for" in "\n".join(stack.airflow.task_log(DAG, "lost", wait))

    # Meanwhile: accepted at once, and answered when nobody listens any more.
    faults(simulator, {"kind": "delay", "seconds": 20})
    start(stack, repository_of(tmp_path, "killed", 3), "killed")
    submit = wait_for_task(stack, "killed", "batch.submit", "running")
    wait_until(lambda: any(_size(batch) == 3 for id_, batch in listed(simulator).items() if id_ not in listed_before))
    kill_task(stack, "killed", submit)
    wait_for_task(stack, "killed", "batch.submit", "up_for_retry")
    kill(stack, "airflow scheduler", "airflow worker -- LocalExecutor", "serve-logs")

    for run, documents in (("lost", 2), ("killed", 3)):
        finish(stack, run)
        assert report_of(stack, run)["totals"]["answered"] == documents
        assert [batch["state"] for batch in batches_of(stack, run)] == ["ingested"]
    assert paid_documents(simulator) == paid_before + 5
    assert len(set(listed(simulator)) - listed_before) == 2
    check_ledger_against_bill(stack, simulator)


def _size(batch: dict[str, Any]) -> int:
    return sum(batch["request_counts"].values())


def test_what_is_left_behind_is_finished_or_kept(stack: Stack, tmp_path: Path) -> None:
    simulator = RunningSimulator(simulator_url(stack.ports))
    paid_before = paid_documents(simulator)
    # So that the batches run for a whole simulated day.
    simulator.rules({"match": '_0.py"', "attempts": [1], "outcome": "expired"})
    for run, documents in (("paused", 4), ("ended", 5)):
        start(stack, repository_of(tmp_path, run, documents), run)
    waits = {run: wait_for_deferral(stack, run) for run in ("paused", "ended")}

    with dag_paused(stack):
        (ended,) = (batch["api_batch_id"] for batch in batches_of(stack, "ended"))
        # Until the triggerer has looked once, only the task itself has said what it leaves alone.
        assert f"backcast cancel {ended}" in _log(stack, "ended", waits["ended"])
        wait_until(lambda: any(call["path"].endswith(ended) for call in simulator.log()))
        stack.airflow.fail_run(DAG, "ended")
        said_at_the_end = f"ended by hand, the batch was not: {ended} is left alone"
        wait_until(lambda: said_at_the_end in _log(stack, "ended", waits["ended"]), seconds=60)
        assert listed(simulator)[ended]["cancel_initiated_at"] is None
        simulator.http.post("/simulator/clock", json={"advance_seconds": DAY}).raise_for_status()

        said = reconcile(stack, "first")
        # The second round of the paused run is sent; the other run is not gone on with, but its answers are kept.
        assert "waits for 1 batches of round 2" in said
        assert [batch["state"] for batch in batches_of(stack, "ended")] == ["ingested"]
        wait_until(lambda: all(batch["processing_status"] == "ended" for batch in listed(simulator).values()))
        reconcile(stack, "second")
        assert report_of(stack, "paused")["totals"]["answered"] == 4
        assert progress_of(stack, "ended").state == "collected"

    finish(stack, "paused")
    assert stack.airflow.run_state(DAG, "ended") == "failed"
    # Four of the one in two rounds, four of five of the other in one.
    assert paid_documents(simulator) == paid_before + 8
    check_ledger_against_bill(stack, simulator)


@contextmanager
def second_scheduler(stack: Stack, folder: Path) -> Iterator[None]:
    """Another scheduler on the same Airflow, with workers of its own, for the length of a `with` block."""
    (port,) = free_ports(1)
    environment = {
        **stack_environment(stack.options, stack.server, stack.ports, os.environ),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(port),
    }
    with (folder / "second-scheduler.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "scheduler"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        # Its workers too, which outlive it.
        for pid in session_members(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def test_a_night_with_two_schedulers_outlives_the_death_of_every_part(stack: Stack, tmp_path: Path) -> None:
    simulator = RunningSimulator(simulator_url(stack.ports))
    paid_before, listed_before = paid_documents(simulator), set(listed(simulator))
    simulator.rules({"match": 'mortal_0.py"', "attempts": [1], "outcome": "expired"})
    with second_scheduler(stack, tmp_path):
        faults(simulator, {"kind": "delay", "seconds": 15})
        start(stack, repository_of(tmp_path, "mortal", 6), "mortal")
        wait_for_task(stack, "mortal", "batch.submit", "running")
        wait_until(lambda: bool(set(listed(simulator)) - listed_before))
        # The scheduler alone: its worker goes on, and writes down what the API answers.
        kill(stack, "airflow scheduler")
        wait_until(lambda: [batch["state"] for batch in batches_of(stack, "mortal")] == ["submitted"], seconds=60)
        kill(stack, "airflow triggerer")
        # One of its processes, after which PostgreSQL ends all others and recovers: Airflow's database and the ledger.
        with psycopg.connect(stack.ledger, autocommit=True) as connection, suppress(psycopg.OperationalError):
            os.kill(connection.info.backend_pid, signal.SIGKILL)
            connection.execute("SELECT 1")
        wait_until(lambda: _is_up(stack), seconds=60)
        finish(stack, "mortal")

    assert report_of(stack, "mortal")["totals"]["answered"] == 6
    assert [batch["state"] for batch in batches_of(stack, "mortal")] == ["ingested", "ingested"]
    assert paid_documents(simulator) == paid_before + 6
    assert len(set(listed(simulator)) - listed_before) == 2
    check_ledger_against_bill(stack, simulator)


def _is_up(stack: Stack) -> bool:
    try:
        return bool(stack.airflow.run_state(DAG, "mortal"))
    except BackcastError:
        return False


def _log(stack: Stack, dag_run_id: str, task: TaskState) -> str:
    return "\n".join(stack.airflow.task_log(DAG, dag_run_id, task))
