"""The demo of Docker Compose, on the stack of the other acceptance tests: real Airflow, PostgreSQL and simulator."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from tests.acceptance.nights import repository_of

from backcast.local.containers import Containers, run_demo
from backcast.local.display import Display
from backcast.local.environment import simulator_url

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.local.stack import Stack


def test_a_demo_ends_with_the_report_and_says_that_no_model_was_asked(stack: Stack, tmp_path: Path) -> None:
    repository = repository_of(tmp_path, "demo", 3)
    written = io.StringIO()
    site = Containers(stack.airflow, stack.ledger, stack.since)
    display = Display(Console(file=written, soft_wrap=True))
    assert run_demo(site, simulator_url(stack.ports), display, repository=str(repository)) == 0
    said = written.getvalue()
    assert "3 collected: 3 answered" in said
    assert "/report.md" in said
    assert "**No model was asked.**" in said


def test_a_demo_whose_run_fails_says_which_task_and_why(stack: Stack, tmp_path: Path) -> None:
    written = io.StringIO()
    display = Display(Console(file=written, soft_wrap=True))
    nowhere = tmp_path / "nowhere"
    site = Containers(stack.airflow, stack.ledger, stack.since)
    assert run_demo(site, simulator_url(stack.ports), display, repository=str(nowhere)) == 1
    assert "Task collect failed" in written.getvalue()
    assert f"{nowhere} does not exist" in written.getvalue()
