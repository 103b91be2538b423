"""What a check finds is judged by fixed limits, and what the SDK and the API tell of a model is read with care."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from anthropic.types import ModelInfo

from backcast.anthropic_api.models import facts_by_sdk, facts_of, supports
from backcast.domain.checkup import (
    Check,
    ModelFacts,
    State,
    any_failed,
    clock_ahead,
    judge_batches,
    judge_clock,
    judge_disk,
    judge_end_of_life,
    judge_postgresql,
    judge_revision,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SLA = timedelta(hours=30)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


@pytest.mark.parametrize(
    ("before", "after", "ahead"),
    [(0, 0, 0), (0.9, 0.9, 0), (-5, 5, 0), (10, 11, 9), (-11, -10, -10), (1.5, 1.6, 0.5)],
)
def test_a_clock_is_off_by_what_neither_the_call_nor_whole_seconds_explain(
    before: float, after: float, ahead: float
) -> None:
    assert clock_ahead(NOW + seconds(before), NOW, NOW + seconds(after)) == seconds(ahead)


@pytest.mark.parametrize(
    ("ahead", "state", "said"),
    [
        (30, State.OK, "agrees"),
        (31, State.WARNING, "31 s ahead of the API's"),
        (-31, State.WARNING, "31 s behind the API's"),
        (300, State.WARNING, "cut-offs are kept by this clock"),
        (-301, State.FAILED, "NTP"),
    ],
)
def test_a_clock_warns_above_30_seconds_and_fails_above_5_minutes(ahead: int, state: State, said: str) -> None:
    judged, told = judge_clock(seconds(ahead))
    assert (judged, said in told) == (state, True)


@pytest.mark.parametrize(
    ("facts", "state", "said"),
    [
        (ModelFacts(), State.OK, "no end of it is announced"),
        (ModelFacts(lifecycle="active"), State.OK, "no end of it is announced"),
        (ModelFacts(lifecycle="deprecated"), State.WARNING, "no date"),
        (ModelFacts(lifecycle="retired"), State.FAILED, "answers no more"),
        (
            ModelFacts(lifecycle="deprecated", ends_at=NOW + timedelta(days=43)),
            State.WARNING,
            "on 2027-01-08, in 43 days",
        ),
        (ModelFacts(ends_at=NOW + SLA + seconds(1)), State.WARNING, "in 1 days"),
        (ModelFacts(ends_at=NOW + SLA), State.FAILED, "a run opened now may outlive it"),
        (ModelFacts(lifecycle="deprecated", ends_at=NOW - timedelta(days=3)), State.FAILED, "3 days ago"),
    ],
)
def test_a_model_must_outlive_a_run_that_is_opened_now(facts: ModelFacts, state: State, said: str) -> None:
    judged, told = judge_end_of_life(facts, NOW, SLA)
    assert (judged, said in told) == (state, True), told


def test_a_model_that_takes_no_batches_fails_and_one_that_nobody_speaks_of_does_not() -> None:
    assert [judge_batches(ModelFacts(batches=batches))[0] for batches in (True, None, False)] == [
        State.OK,
        State.OK,
        State.FAILED,
    ]


def test_disk_postgresql_and_revision_have_their_limits() -> None:
    assert judge_disk(10**9, "x") == (State.OK, "1.0 GB free for x.")
    assert judge_disk(10**9 - 1, "x")[0] is State.WARNING
    assert judge_postgresql(150000) == (State.OK, "is version 15.0.")
    assert judge_postgresql(140012) == (State.FAILED, "is version 14.12: the ledger needs 15 or later.")
    assert judge_revision("0007", "0007")[0] is State.OK
    for revision, said in ((None, "backcast migrate"), ("0003", "backcast migrate"), ("0009", "as new as that")):
        state, told = judge_revision(revision, "0007")
        assert (state, said in told) == (State.FAILED, True)


def test_only_a_failure_fails() -> None:
    checks = [Check("x", state, "") for state in State if state is not State.FAILED]
    assert not any_failed(checks)
    assert any_failed([*checks, Check("x", State.FAILED, "")])


def info(**told: Any) -> ModelInfo:
    """Build a model as the SDK does of an answer: without validation."""
    return ModelInfo.construct(id="m", **told)


@pytest.mark.parametrize(
    "capabilities", [None, {}, {"batch": None}, {"batch": {}}, {"batch": {"supported": "yes"}}, "?"]
)
def test_what_the_api_does_not_say_of_a_capability_is_not_known(capabilities: Any) -> None:
    assert supports(info(capabilities=capabilities), "batch") is None


@pytest.mark.parametrize("supported", [True, False])
def test_what_the_api_says_of_a_capability_is_so(supported: bool) -> None:
    told = info(capabilities={"batch": {"supported": supported}}, lifecycle="active")
    assert facts_of(told, "claude-sonnet-5-5") == ModelFacts(batches=supported, lifecycle="active")


def test_the_end_of_a_model_is_the_apis_or_else_what_the_sdk_knows() -> None:
    known = facts_by_sdk("claude-sonnet-4-5")
    assert known == ModelFacts(lifecycle="deprecated", ends_at=datetime(2026, 11, 30, tzinfo=UTC))
    assert facts_by_sdk("claude-sonnet-5-5") == ModelFacts()
    later = "2027-02-01T00:00:00Z"
    told = facts_of(info(lifecycle="deprecated", retires_at=later), "claude-sonnet-4-5")
    assert told.ends_at == datetime(2027, 2, 1, tzinfo=UTC)
    for silent in (info(), info(lifecycle="?", retires_at="soon"), info(lifecycle=None, retires_at=None)):
        assert facts_of(silent, "claude-sonnet-4-5") == known
    assert facts_of(info(lifecycle="active"), "claude-sonnet-4-5") == ModelFacts(lifecycle="active")
