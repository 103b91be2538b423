"""What is not for batches, in Airflow: triggered by REST, answered at once, reported, and counted in the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.nights import listed
from tests.support import RunningSimulator, commit, git, wait_until

from backcast.ledger.connection import Ledger
from backcast.local.environment import simulator_url
from backcast.local.follow import failures, wait_for_dag

if TYPE_CHECKING:
    from backcast.local.stack import Stack

CHANGED = "import pickle\n\n\ndef load(data):\n    return pickle.loads(data)\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A branch that changes a file, in a repository that pins its dependencies."""
    (tmp_path / "load.py").write_text("def load(data):\n    return data\n")
    (tmp_path / "requirements.txt").write_text("requests==2.19.0\nflask\n")
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path, "first")
    git(tmp_path, "checkout", "-q", "-b", "topic")
    (tmp_path / "load.py").write_text(CHANGED)
    commit(tmp_path, "second")
    return tmp_path


def ended(stack: Stack, dag_id: str, dag_run_id: str, **form: Any) -> str:
    wait_for_dag(stack, dag_id)
    stack.airflow.trigger(dag_id, dag_run_id, form)
    wait_until(lambda: stack.airflow.run_state(dag_id, dag_run_id) not in ("queued", "running"), seconds=120)
    return str(stack.airflow.run_state(dag_id, dag_run_id))


def recorded(stack: Stack, workflow: str) -> list[dict[str, Any]]:
    with Ledger(stack.ledger).connect() as connection:
        return connection.execute(
            "SELECT kind, runs.state, sum(cost_usd) > 0 AS paid FROM runs JOIN requests USING (run_id) "
            "JOIN results USING (request_id) WHERE workflow = %s GROUP BY run_id ORDER BY run_id",
            [workflow],
        ).fetchall()


def report_of(stack: Stack, workflow: str, name: str) -> dict[str, Any]:
    [written] = Path(stack.options.reports or "", workflow).glob(f"*/{name}")
    report: dict[str, Any] = json.loads(written.read_bytes())
    return report


def test_a_branch_is_reviewed_without_a_batch_and_fails_only_where_the_form_says_so(
    stack: Stack, repository: Path
) -> None:
    batches = set(listed(RunningSimulator(simulator_url(stack.ports))))
    form = {"repository": str(repository), "base": "main", "head": "topic"}
    dag_id = "pre_merge_review"
    assert ended(stack, dag_id, "reviewed", **form) == "success", failures(stack, dag_id, "reviewed")
    [finding] = report_of(stack, dag_id, "review.json")["findings"]
    assert (finding["path"], finding["line_start"]) == ("load.py", 5)
    assert recorded(stack, dag_id) == [{"kind": "review", "state": "reviewed", "paid": True}]

    assert ended(stack, dag_id, "strict", **form, fail_on="low") == "failed"
    assert "load.py:5" in str(failures(stack, dag_id, "strict"))
    assert set(listed(RunningSimulator(simulator_url(stack.ports)))) == batches


def test_dependencies_are_advised_on_by_tools_that_run_in_mid_answer(stack: Stack, repository: Path) -> None:
    dag_id = "dependency_advice"
    assert ended(stack, dag_id, "advised", repository=str(repository)) == "success", failures(stack, dag_id, "advised")
    report = report_of(stack, dag_id, "report.json")
    assert report["advice"]
    assert len(report["turns"]) > 1
    assert recorded(stack, dag_id) == [{"kind": "review", "state": "reviewed", "paid": True}]
