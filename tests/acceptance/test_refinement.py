"""A prompt is refined in Airflow: the DAG waits for a person, and promotes only what was approved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.acceptance.nights import REFINE, finish, wait_for_task
from tests.support import RunningSimulator, commit, git, wait_until

from backcast.ledger.connection import Ledger
from backcast.local.environment import ADMIN, simulator_url
from backcast.services.versions import Promotion, history

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.local.stack import Stack

# Not the workflow of the other tests, whose runs would be sent with what is promoted here.
WORKFLOW = "weekly_code_audit"
GO = "package numbers\n\nfunc Double{n}(x int) int {{\n\treturn 2*x + {n}\n}}\n"
RUBY = "def double_{n}(x)\n  2 * x + {n}\nend\n"


@pytest.fixture(autouse=True)
def languages_that_need_an_example(stack: Stack) -> Iterator[None]:
    simulator = RunningSimulator(simulator_url(stack.ports))
    settings = simulator.http.post("/simulator/settings", json={"needs_example": ["go", "ruby"]})
    settings.raise_for_status()
    yield
    simulator.http.post("/simulator/settings", json={"needs_example": []}).raise_for_status()


def repository_of(folder: Path, template: str, suffix: str) -> Path:
    for number in range(3):
        (folder / f"double_{number}.{suffix}").write_text(template.format(n=number))
    (folder / "double.py").write_text("def double(x: int) -> int:\n    return 2 * x\n")
    git(folder, "init", "-q")
    commit(folder, "planted")
    return folder


def start(stack: Stack, dag_run_id: str, repository: Path, **form: Any) -> None:
    stack.airflow.trigger(REFINE, dag_run_id, {"workflow": WORKFLOW, "repository": str(repository), **form})


def asked(stack: Stack, dag_run_id: str) -> str:
    """Return the path of what a person is asked, once the DAG run waits for it."""
    wait_for_task(stack, dag_run_id, "approve", "awaiting_input", REFINE)
    # An answer that comes before the scheduler has heard of the wait is taken for a failed try, and asked for again.
    heard = datetime.now(UTC) + timedelta(seconds=1)
    wait_until(lambda: "scheduler" not in stack.airflow.unhealthy(heard))
    return f"/api/v2/dags/{REFINE}/dagRuns/{dag_run_id}/taskInstances/approve/-1/hitlDetails"


def respond(stack: Stack, path: str, option: str) -> None:
    body = {"chosen_options": [option], "params_input": {}}
    stack.airflow._request("PATCH", path, json=body).raise_for_status()


def promotions(stack: Stack) -> list[Promotion]:
    return history(Ledger(stack.ledger), WORKFLOW)


def states(stack: Stack, dag_run_id: str) -> dict[str, str | None]:
    return {task.task_id: task.state for task in stack.airflow.tasks(REFINE, dag_run_id)}


def said_last(stack: Stack, dag_run_id: str) -> str:
    [task] = [task for task in stack.airflow.tasks(REFINE, dag_run_id) if task.task_id == "conclude"]
    return "\n".join(stack.airflow.task_log(REFINE, dag_run_id, task))


def test_an_approved_version_is_promoted_by_whoever_approved_it(stack: Stack, tmp_path: Path) -> None:
    start(stack, "approved", repository_of(tmp_path, GO, "go"), why="It reads Go.")
    path = asked(stack, "approved")
    detail = stack.airflow._get(path)
    assert detail["subject"] == f"Promote v2 of the {WORKFLOW} prompt?"
    assert "| v2 (best) | 100% | 4 of 4 |" in detail["body"]
    assert detail["defaults"] == ["Reject"]
    # Nothing is promoted before somebody says so.
    assert promotions(stack) == []

    respond(stack, path, "Approve")
    finish(stack, "approved", REFINE)
    last = promotions(stack)[0]
    assert (last.version, last.promoted_by.lower(), last.why) == ("v2", ADMIN, "It reads Go.")
    assert last.scores is not None
    assert last.scores["accepted"] == 4
    assert "v2 is the active version, approved by" in said_last(stack, "approved")
    written = Path(stack.options.reports or "") / WORKFLOW / "refinements" / "refine_prompt-approved"
    assert {"refinement.md", "refinement.json", "scores.svg", "v1-to-v2.diff", "prompts"} == {
        entry.name for entry in written.iterdir()
    }


def test_a_rejected_version_changes_nothing(stack: Stack, tmp_path: Path) -> None:
    start(stack, "rejected", repository_of(tmp_path, RUBY, "rb"))
    path = asked(stack, "rejected")
    before = promotions(stack)
    respond(stack, path, "Reject")
    finish(stack, "rejected", REFINE)
    assert promotions(stack) == before
    assert states(stack, "rejected") == {
        "refine": "success",
        "approve": "success",
        "promote": "skipped",
        "conclude": "success",
    }
    assert "was rejected by" in said_last(stack, "rejected")


def test_what_nobody_answers_in_time_changes_nothing(stack: Stack, tmp_path: Path) -> None:
    start(stack, "late", repository_of(tmp_path, RUBY, "rb"))
    asked(stack, "late")
    before = promotions(stack)
    with psycopg.connect(stack.server.dsn("airflow")) as airflow:
        airflow.execute(
            "UPDATE task_instance SET trigger_timeout = now() - interval '1 second' "
            "WHERE dag_id = %s AND run_id = 'late' AND task_id = 'approve'",
            [REFINE],
        )
    finish(stack, "late", REFINE)
    assert promotions(stack) == before
    assert states(stack, "late")["promote"] == "skipped"
    assert "was not approved in time: nothing changes" in said_last(stack, "late")


def test_nobody_is_asked_when_no_version_is_better_than_the_active_one(stack: Stack, tmp_path: Path) -> None:
    active = next((one.version for one in promotions(stack)), "v1")
    start(stack, "nothing", repository_of(tmp_path, "VALUE = {n}\n", "py"), versions=[active])
    finish(stack, "nothing", REFINE)
    assert states(stack, "nothing") == {
        "refine": "success",
        "approve": "skipped",
        "promote": "skipped",
        "conclude": "success",
    }
    assert "nothing changes" in said_last(stack, "nothing")
