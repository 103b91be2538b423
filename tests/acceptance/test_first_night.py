"""The first night: real Airflow, triggered through its REST API, from a repository with planted debt to a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.acceptance.nights import (
    check_ledger_against_bill,
    finish,
    kill,
    report_of,
    start,
    wait_for_deferral,
)
from tests.support import RunningSimulator, commit, git

from backcast.local.environment import simulator_url

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.local.stack import Stack

TANGLED = "def tangled(a, b):\n    total = 0\n" + "".join(
    f"    if a == {i} and b > {i}:\n        for x in range(a):\n            if x > {i} or b < {i}:\n"
    f"                total += x\n"
    for i in range(12)
)
SWALLOWED = (
    "import json\n\n\ndef load(path):\n    try:\n        return json.load(open(path))\n    except:\n        pass\n"
)


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
    kill(stack, "airflow triggerer")
    finish(stack, "first")

    report = report_of(stack, "first")
    assert report["totals"] == {"collected": 9, "answered": 6, "reused": 0, "skipped": 2, "unanswered": 1}
    assert [document["path"] for document in report["unanswered"]] == ["src/invalid.py"]
    found = {(finding["path"], finding["category"]) for finding in report["findings"]}
    assert {("src/tangled.py", "complexity"), ("src/swallowed.py", "error_handling")} <= found
    assert not any(path == "src/clean.py" for path, _ in found)
    assert report["simulated"] is True
    check_ledger_against_bill(stack, simulator)

    start(stack, repository, "second")
    finish(stack, "second")

    again = report_of(stack, "second")
    # What was given up is tried once more, and nothing else.
    assert again["totals"] == {"collected": 9, "answered": 0, "reused": 6, "skipped": 2, "unanswered": 1}
    assert {f["fingerprint"] for f in again["findings"]} == {f["fingerprint"] for f in report["findings"]}
    assert {f["status"] for f in again["findings"]} == {"persisting"}
    check_ledger_against_bill(stack, simulator)
