"""Tests are proposed in a real Airflow: what was wrong at first goes again, and the patch applies to the repository."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.acceptance.nights import finish
from tests.support import RunningSimulator, commit, git

from backcast.local.environment import simulator_url
from backcast.local.follow import wait_for_dag

if TYPE_CHECKING:
    from backcast.local.stack import Stack

DAG = "nightly_test_generation"


def test_a_night_ends_in_a_patch_that_applies(stack: Stack, tmp_path: Path) -> None:
    # More than a sample, so that some goes as a batch.
    for number in range(13):
        (tmp_path / f"module{number}.py").write_text(f"def double{number}(x):\n    return 2 * x\n")
    git(tmp_path, "init", "-q")
    commit(tmp_path, "first")
    wrong = json.dumps({"tests": [{"content": "def test_one(:\n", "covers": []}], "note": ""})
    simulator = RunningSimulator(simulator_url(stack.ports))
    simulator.rules({"match": 'path="module7.py"', "attempts": [1], "outcome": "answer", "text": wrong})
    wait_for_dag(stack, DAG)
    stack.airflow.trigger(DAG, "proposed", {"repository": str(tmp_path)})
    finish(stack, "proposed", DAG)

    patch = Path(stack.options.reports or "", DAG, "latest", "tests.patch").resolve()
    report = json.loads(patch.with_name("report.json").read_bytes())
    assert (report["patch_files"], report["not_offered"], report["unanswered"]) == (13, [], [])
    assert "module7.py" in {one["path"] for one in report["retried"]}
    assert {one["why_not_run"] for one in report["offered"]} == {"running tests is not switched on"}
    subprocess.run(["git", "apply", "--check", str(patch)], cwd=tmp_path, check=True)
    tasks = {task.task_id: task.state for task in stack.airflow.tasks(DAG, "proposed")}
    assert tasks["run_proposed_tests"] == tasks["run_last_tests"] == "success"
