"""What is not for batches, in Airflow: triggered by REST, answered at once, reported, and counted in the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.nights import listed
from tests.support import RunningSimulator, commit, git, wait_until

from backcast.ledger.connection import Ledger
from backcast.ledger.progress import read_progress
from backcast.local.environment import simulator_url
from backcast.local.follow import external_key, failures, wait_for_dag

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


def test_an_audit_holds_its_findings_against_the_repository_and_asks_about_none_twice(
    stack: Stack, tmp_path: Path
) -> None:
    dag_id = "weekly_code_audit"
    # By the rule of the simulator the second one is refuted.
    for number in range(2):
        (tmp_path / f"eval{number}.py").write_text("def evaluated(text):\n    return eval(text)\n")
    git(tmp_path, "init", "-q")
    commit(tmp_path, "first")
    simulator = RunningSimulator(simulator_url(stack.ports))
    for dag_run_id in ("audited", "again"):
        before = len(simulator.bill())
        assert ended(stack, dag_id, dag_run_id, repository=str(tmp_path)) == "success", failures(
            stack, dag_id, dag_run_id
        )
        charges = [float(charge["cost_usd"]) for charge in simulator.bill()[before:]]
        progress = read_progress(stack.ledger, external_key(dag_id, dag_run_id))
        assert progress is not None
        assert progress.report_path is not None
        folder = Path(progress.report_path).parent
        report = json.loads((folder / "report.json").read_bytes())
        verdicts = {check["fingerprint"]: check["verdict"] for check in report["audit"]["checks"]}
        assert [verdicts[finding["fingerprint"]] for finding in report["findings"]] == ["verified", "refuted"]
        suppressed = [
            "suppressions" in one for one in json.loads((folder / "audit.sarif").read_bytes())["runs"][0]["results"]
        ]
        assert suppressed == [False, True]
        assert (folder / "trends.svg").read_text().startswith("<svg")
        # To the token; and the second time nothing is asked.
        assert float(progress.cost_usd) == pytest.approx(sum(charges))
        assert (report["audit"]["conversations"], bool(charges)) == (
            (2, True) if dag_run_id == "audited" else (0, False)
        )
        states = {task.task_id: task.state for task in stack.airflow.tasks(dag_id, dag_run_id)}
        assert (states["check_findings"], states["publish"]) == ("success", "success")
