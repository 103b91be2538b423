"""A run that failed by itself is finished for it; one that was marked failed by hand is left as it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DagRunState
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from backcast.orchestration import abandoned
from backcast.orchestration.abandoned import Worked, ended_by_hand

DONE = {"open_run": "success", "collect": "success", "round_1.plan_batches": "success"}
AFTER = ("resubmit_failures", "round_2.plan_batches", "publish")
NO_ROUND_2 = {"round_2.batch.submit": "skipped", "round_2.batch.wait": "skipped", "round_2.batch.ingest": "skipped"}


def batch(number: int, submit: str | None, wait: str | None, ingest: str | None) -> dict[str, str | None]:
    names = {"submit": submit, "wait": wait, "ingest": ingest}
    return {f"round_1.batch.{name}_{number}": state for name, state in names.items()}


def after(state: str, round_2: str | None = None) -> dict[str, str | None]:
    return {
        **dict.fromkeys(AFTER, state),
        **{f"round_2.batch.{name}": round_2 or state for name in ("submit", "wait", "ingest")},
    }


OK = ("success", "success", "success")
BY_ITSELF: dict[str, dict[str, str | None]] = {
    "a submit": {**DONE, **batch(0, "failed", "upstream_failed", "upstream_failed"), **after("upstream_failed")},
    "a wait": {**DONE, **batch(0, "success", "failed", "upstream_failed"), **after("upstream_failed")},
    "an ingest": {**DONE, **batch(0, "success", "success", "failed"), **batch(1, *OK), **after("upstream_failed")},
    "the first task": {"open_run": "failed", "collect": "upstream_failed", **after("upstream_failed")},
    # The unmapped instances of a round that has no batches are skipped by Airflow itself.
    "publishing, without a second round": {
        **DONE,
        **batch(0, *OK),
        "resubmit_failures": "success",
        "round_2.plan_batches": "success",
        **NO_ROUND_2,
        "publish": "failed",
    },
}
BY_HAND: dict[str, dict[str, str | None]] = {
    "while it waited": {**DONE, **batch(0, "success", "failed", "skipped"), **after("skipped")},
    "while it submitted": {**DONE, **batch(0, "failed", "skipped", "skipped"), **after("skipped")},
    "before it submitted": {**DONE, **batch(0, "skipped", "skipped", "skipped"), **after("skipped")},
    "while it collected": {"open_run": "success", "collect": "failed", **after("skipped")},
    "before anything ran": {"open_run": "skipped", "collect": "skipped", **after("skipped")},
    "while one waited, after another had failed": {
        **DONE,
        **batch(0, "success", "success", "failed"),
        **batch(1, "success", "failed", "skipped"),
        **after("upstream_failed"),
    },
    "before one was submitted, after another had failed": {
        **DONE,
        **batch(0, "failed", "upstream_failed", "upstream_failed"),
        **batch(12, "skipped", "skipped", "skipped"),
        **after("upstream_failed"),
    },
}


@pytest.mark.parametrize("what", BY_ITSELF)
def test_a_run_that_failed_by_itself_is_told_from_one_that_was_marked_failed(what: str) -> None:
    assert not ended_by_hand(BY_ITSELF[what])


@pytest.mark.parametrize("when", BY_HAND)
def test_a_run_that_was_marked_failed_is_told_from_one_that_failed_by_itself(when: str) -> None:
    assert ended_by_hand(BY_HAND[when])


class Instance:
    """What a task can ask Airflow about a run, as Airflow answers it."""

    def __init__(self, state: DagRunState | int, *, paused: bool, tasks: dict[str, str | None]) -> None:
        self.state, self.paused, self.tasks = state, paused, tasks

    def get_dagrun_state(self, dag_id: str, run_id: str) -> DagRunState:
        assert (dag_id, run_id) == ("nightly", "manual__2026-11-25T03:00:00/1")
        if isinstance(self.state, DagRunState):
            return self.state
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"status_code": self.state}))

    def get_dag(self, dag_id: str) -> SimpleNamespace:
        assert dag_id == "nightly"
        return SimpleNamespace(is_paused=self.paused)

    def get_task_states(self, dag_id: str, run_ids: list[str]) -> dict[str, Any]:
        assert dag_id == "nightly"
        return {run_ids[0]: self.tasks}


def worked(
    monkeypatch: pytest.MonkeyPatch,
    state: DagRunState | int,
    *,
    paused: bool = False,
    tasks: dict[str, str | None] | None = None,
) -> Worked:
    instance = Instance(state, paused=paused, tasks=tasks or {})
    monkeypatch.setattr(abandoned, "get_current_context", lambda: {"ti": instance})
    return abandoned._worked(*abandoned._split("nightly/manual__2026-11-25T03:00:00/1"))


@pytest.mark.parametrize("state", [DagRunState.RUNNING, DagRunState.QUEUED])
def test_an_unfinished_run_is_abandoned_only_while_its_dag_is_paused(
    monkeypatch: pytest.MonkeyPatch, state: DagRunState
) -> None:
    busy: dict[str, str | None] = {"collect": "success", "round_1.batch.wait_0": "deferred", "publish": None}
    assert worked(monkeypatch, state, tasks=busy) is Worked.ON
    assert worked(monkeypatch, state, tasks=busy, paused=True) is Worked.ABANDONED


@pytest.mark.parametrize("waiting_for_the_scheduler", [None, "scheduled", "up_for_retry"])
def test_a_run_of_which_no_task_does_anything_is_idle(
    monkeypatch: pytest.MonkeyPatch, waiting_for_the_scheduler: str | None
) -> None:
    tasks = {"collect": "success", "round_1.batch.wait_0": waiting_for_the_scheduler, "publish": None}
    assert worked(monkeypatch, DagRunState.RUNNING, tasks=tasks) is Worked.IDLE


@pytest.mark.parametrize("paused", [False, True])
def test_a_run_that_is_over_is_abandoned_only_when_it_failed_by_itself(
    monkeypatch: pytest.MonkeyPatch, paused: bool
) -> None:
    failed = DagRunState.FAILED
    succeeded = DagRunState.SUCCESS
    assert worked(monkeypatch, failed, paused=paused, tasks=BY_ITSELF["a wait"]) is Worked.ABANDONED
    assert worked(monkeypatch, failed, paused=paused, tasks=BY_HAND["while it waited"]) is Worked.LEFT
    assert worked(monkeypatch, succeeded, paused=paused, tasks=BY_ITSELF["a wait"]) is Worked.LEFT


def test_a_run_that_airflow_does_not_know_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worked(monkeypatch, 404) is Worked.UNKNOWN
    assert abandoned._worked(*abandoned._split("from-the-command-line")) is Worked.UNKNOWN


def test_an_airflow_that_does_not_answer_is_not_taken_for_one_that_knows_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(AirflowRuntimeError):
        worked(monkeypatch, 500)
