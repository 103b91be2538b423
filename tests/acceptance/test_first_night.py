"""The first night: real Airflow, triggered through its REST API, from a repository with planted debt to a report."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from tests.support import RunningSimulator, commit, git, wait_until

import backcast.reports
from backcast.ledger.connection import Ledger
from backcast.ledger.progress import read_progress
from backcast.local.environment import simulator_url
from backcast.local.follow import external_key, failures, wait_for_dag
from backcast.local.options import SimulatorOdds, StackOptions
from backcast.local.ports import free_ports
from backcast.local.processes import command_line, session_members
from backcast.local.stack import Stack, running_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

DAG = "nightly_tech_debt"
# A day in half a minute: long enough to see the wait deferred, short enough to wait for a batch that expires.
SPEED = 2880

TANGLED = "def tangled(a, b):\n    total = 0\n" + "".join(
    f"    if a == {i} and b > {i}:\n        for x in range(a):\n            if x > {i} or b < {i}:\n"
    f"                total += x\n"
    for i in range(12)
)
SWALLOWED = (
    "import json\n\n\ndef load(path):\n    try:\n        return json.load(open(path))\n    except:\n        pass\n"
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    airflow_port, simulator_port = free_ports(2)
    options = StackOptions(
        home=tmp_path_factory.mktemp("home"),
        airflow_port=airflow_port,
        simulator_port=simulator_port,
        simulator_speed=SPEED,
        simulator_odds=SimulatorOdds(errored=0, expired=0),
        reports=tmp_path_factory.mktemp("reports"),
    )
    with running_stack(options, print) as running:
        wait_for_dag(running, DAG)
        yield running


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    files = {
        "src/tangled.py": TANGLED,
        "src/swallowed.py": SWALLOWED,
        "src/clean.py": "def double(x: int) -> int:\n    return 2 * x\n",
        "src/errored.py": "ERRORED = 1\n",
        "src/expired.py": "EXPIRED = 1\n",
        "src/truncated.py": "TRUNCATED = 1\n",
        "src/invalid.py": "INVALID = 1\n",
        "vendor/other.py": "x = 1\n",
        "notes.txt": "no source code\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q")
    commit(folder, "planted")
    return folder


def start(stack: Stack, repository: Path, dag_run_id: str) -> None:
    stack.airflow.trigger(DAG, dag_run_id, {"repository": str(repository)})


def wait_for_deferral(stack: Stack, dag_run_id: str) -> None:
    def deferred() -> bool:
        return any(task.state == "deferred" for task in stack.airflow.tasks(DAG, dag_run_id))

    wait_until(deferred, seconds=120)


def kill_triggerer(stack: Stack) -> None:
    members = session_members(stack.supervisor._process.pid)
    victims = [pid for pid in members if "airflow triggerer" in command_line(pid)]
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)


def finish(stack: Stack, dag_run_id: str) -> None:
    def ended() -> bool:
        return stack.airflow.run_state(DAG, dag_run_id) not in ("queued", "running")

    wait_until(ended, seconds=300)
    assert stack.airflow.run_state(DAG, dag_run_id) == "success", failures(stack, DAG, dag_run_id)


def report_of(stack: Stack, dag_run_id: str) -> dict[str, Any]:
    progress = read_progress(stack.ledger, external_key(DAG, dag_run_id))
    assert progress is not None
    assert progress.report_path is not None
    report: dict[str, Any] = json.loads(Path(progress.report_path).with_suffix(".json").read_bytes())
    schema = Path(backcast.reports.__file__).with_name("report.schema.json")
    jsonschema.validate(report, json.loads(schema.read_bytes()))
    return report


def test_a_night_with_failures_ends_in_a_report_and_the_next_one_sends_nothing(stack: Stack, repository: Path) -> None:
    simulator = RunningSimulator(simulator_url(stack.ports))
    simulator.rules(
        {"match": 'path="src/errored.py"', "attempts": [1], "outcome": "errored", "error_type": "api_error"},
        {"match": 'path="src/expired.py"', "attempts": [1], "outcome": "expired"},
        {"match": 'path="src/truncated.py"', "attempts": [1], "outcome": "truncated"},
        {"match": 'path="src/invalid.py"', "outcome": "invalid_request"},
    )

    start(stack, repository, "first")
    wait_for_deferral(stack, "first")
    # A wait must outlive the process that waits.
    kill_triggerer(stack)
    finish(stack, "first")

    report = report_of(stack, "first")
    assert report["totals"] == {"collected": 9, "answered": 6, "reused": 0, "skipped": 2, "unanswered": 1}
    assert [document["path"] for document in report["unanswered"]] == ["src/invalid.py"]
    found = {(finding["path"], finding["category"]) for finding in report["findings"]}
    assert {("src/tangled.py", "complexity"), ("src/swallowed.py", "error_handling")} <= found
    assert not any(path == "src/clean.py" for path, _ in found)
    assert report["simulated"] is True
    _check_ledger_against_bill(stack, simulator)

    start(stack, repository, "second")
    finish(stack, "second")

    again = report_of(stack, "second")
    # What was given up is tried once more, and nothing else.
    assert again["totals"] == {"collected": 9, "answered": 0, "reused": 6, "skipped": 2, "unanswered": 1}
    assert {f["fingerprint"] for f in again["findings"]} == {f["fingerprint"] for f in report["findings"]}
    assert {f["status"] for f in again["findings"]} == {"persisting"}
    _check_ledger_against_bill(stack, simulator)


def _check_ledger_against_bill(stack: Stack, simulator: RunningSimulator) -> None:
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
