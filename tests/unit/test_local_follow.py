"""What a person sees of a night: stage, figures, errors, summary."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from backcast.ledger.progress import RunProgress
from backcast.local.airflow_api import TaskState
from backcast.local.display import Display, View
from backcast.local.follow import last_error, stage, view
from backcast.local.options import Api, StackOptions
from backcast.local.summary import estimate_lines, interrupted_lines, published_lines
from backcast.services.estimate import Estimate

NOW = datetime(2026, 5, 1, 6, tzinfo=UTC)


def _progress(**changes: object) -> RunProgress:
    figures = {
        "run_id": 1,
        "state": "published",
        "deadline": NOW + timedelta(hours=5, minutes=12),
        "batches": 2,
        "batches_ended": 1,
        "requests": 12,
        "requests_answered": 7,
        "documents": 10,
        "report_path": "/project/reports/r/report.md",
        "findings": 27,
        "cost_usd": Decimal("1.25"),
        "synchronous_usd": Decimal("2.5"),
        "answered": 6,
        "reused": 2,
        "skipped": 1,
        "unanswered": 1,
        "api_batch_ids": ["msgbatch_1", "msgbatch_2"],
    }
    return RunProgress(**(figures | changes))  # type: ignore[arg-type]


def _task(task_id: str, state: str | None) -> TaskState:
    return TaskState(task_id, -1, state, 1)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"open_run": "success", "collect": "running", "round_1.plan_batches": None}, "Collecting documents"),
        ({"round_1.batch.wait": "deferred", "round_1.batch.submit": "success"}, "Round 1: waiting for the API"),
        ({"round_2.batch.wait": "deferred", "round_2.batch.ingest": "running"}, "Round 2: checking answers"),
        ({"collect": "up_for_retry"}, "Collecting documents (failed, will be tried again)"),
        ({"something_new": "queued"}, "something_new"),
        ({"open_run": "success", "collect": None}, None),
        ({}, None),
    ],
)
def test_the_stage_is_the_most_active_task(states: dict[str, str | None], expected: str | None) -> None:
    assert stage([_task(task_id, state) for task_id, state in states.items()]) == expected


def test_a_view_says_in_words_how_far_a_run_is() -> None:
    figures = view("Submitting", _progress(), NOW).figures()
    assert figures == "1 of 2 batches ended, 7 of 12 requests answered, 5 h 12 min to the deadline"
    late = view("Submitting", _progress(deadline=NOW - timedelta(minutes=3)), NOW).figures()
    assert late.endswith("3 min past the deadline")
    assert view("Opening the run", None, NOW) == View("Opening the run")


def test_without_a_terminal_a_line_is_printed_for_each_change_and_the_clock_is_none() -> None:
    written = io.StringIO()
    with Display(Console(file=written, force_terminal=False, width=200)) as display:
        for minutes in (9, 8, 7):
            display.show(View("Submitting [1]", batches=1, left=timedelta(minutes=minutes)))
        display.show(View("Submitting [1]", batches=1, batches_ended=1, left=timedelta(minutes=6)))
    assert written.getvalue().splitlines() == [
        "Submitting [1]: 0 of 1 batch ended, 9 min to the deadline",
        "Submitting [1]: 1 of 1 batch ended, 6 min to the deadline",
    ]


def test_on_a_terminal_one_live_line_is_kept_up_to_date() -> None:
    written = io.StringIO()
    with Display(Console(file=written, force_terminal=True, width=200, _environ={"TERM": "xterm"})) as display:
        display.show(View("Submitting", requests=4, answered=1))
        display.show(View("Checking answers", requests=4, answered=4))
    assert "4 of 4 requests answered" in written.getvalue()


def test_of_a_log_the_last_error_is_shown() -> None:
    log = ["info     a", "error    first", "info     b", "error    second", "ValueError: bad", "info     ::group::Post"]
    assert last_error(log) == ["error    second", "ValueError: bad"]
    assert last_error(["info     a", "info     b"]) == ["info     a", "info     b"]
    assert last_error([]) == []


def test_the_summary_accounts_for_documents_money_and_time() -> None:
    lines = published_lines(_progress(), StackOptions(project=Path("/project")), NOW)
    assert lines == [
        "The report is published.",
        "  Documents  10: 6 answered, 2 reused, 1 skipped, 1 unanswered",
        "  Findings   27",
        "  Cost       $1.25 instead of $2.50 synchronously: $1.25 saved (50%)",
        "  Deadline   5 h 12 min left",
        "  Report     reports/r/report.md",
        "No model was asked: answers come from static analysis, and nothing was charged.",
    ]
    real = published_lines(_progress(), StackOptions(project=Path("/project"), api=Api.ANTHROPIC), NOW)
    assert real == lines[:-1]


def test_who_interrupts_a_paid_run_is_told_what_flies_and_how_to_come_back() -> None:
    options = StackOptions(project=Path("/project"), home=Path("/my home"), api=Api.ANTHROPIC)
    assert interrupted_lines(_progress(), options, "anthropic-1") == [
        "Batches in flight: msgbatch_1, msgbatch_2",
        "Resume with:  make run API=anthropic RESUME=anthropic-1 BACKCAST_HOME='/my home'",
    ]
    assert interrupted_lines(None, options, "anthropic-1")[0] == "Batches in flight: none"


def test_the_estimate_names_who_is_paid() -> None:
    estimate = Estimate(1, 12_000, 800, Decimal("0.02"), Decimal("0.04"), "claude-x", "why")
    assert estimate_lines(estimate, None)[0] == "This sends 1 document to claude-x through Anthropic's API:"
    assert "  prompt cache: why" in estimate_lines(estimate, None)
    assert "through http://127.0.0.1:1" in estimate_lines(estimate, "http://127.0.0.1:1")[0]
