"""In Airflow: a run whose sample fails stops before anything is submitted, and goes on when a person lets it pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.acceptance.nights import DAG, finish, listed, progress_of, report_of, repository_of, start
from tests.support import RunningSimulator, wait_until

from backcast.ledger.connection import Ledger
from backcast.local.environment import simulator_url

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.local.stack import Stack

DOCUMENTS = 12
# Has not passed yet, whatever other tests of this stack have shown.
MODEL = "claude-haiku-5-5"


def gate_of(stack: Stack, dag_run_id: str) -> dict[str, Any]:
    with Ledger(stack.ledger).connect() as connection:
        key = [progress_of(stack, dag_run_id).run_id]
        return connection.execute("SELECT * FROM gates WHERE run_id = %s", key).fetchone() or {}


def test_a_poor_prompt_stops_a_run_before_a_batch_and_a_person_lets_it_pass(stack: Stack, tmp_path: Path) -> None:
    simulator = RunningSimulator(simulator_url(stack.ports))
    sent_before = set(listed(simulator))
    repository = repository_of(tmp_path, "unproved", DOCUMENTS)
    simulator.rules({"match": "unproved_", "attempts": [1, 2], "outcome": "malformed"})
    start(stack, repository, "unproved", model=MODEL)
    wait_until(lambda: stack.airflow.run_state(DAG, "unproved") == "failed", seconds=120)
    (task,) = [task for task in stack.airflow.tasks(DAG, "unproved") if task.task_id == "gate"]
    said = "\n".join(stack.airflow.task_log(DAG, "unproved", task))
    assert "its sample is below the threshold of 0.9: 0 of 10 accepted" in said
    assert "malformed: the answer is not JSON" in said
    assert gate_of(stack, "unproved")["verdict"] == "failed"
    assert set(listed(simulator)) == sent_before

    start(stack, repository, "let_pass", model=MODEL, let_pass="It is only a trial.")
    finish(stack, "let_pass")
    kept = gate_of(stack, "let_pass")
    assert (kept["verdict"], kept["decided_by"], kept["why"]) == ("let_pass", "admin", "It is only a trial.")
    assert report_of(stack, "let_pass")["totals"]["answered"] == DOCUMENTS
    assert len(set(listed(simulator)) - sent_before) >= 1
