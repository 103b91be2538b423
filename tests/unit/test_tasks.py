"""What may pass by itself is tried again; what a person must mend fails at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from backcast.anthropic_api.batches import RefusedError
from backcast.domain.errors import (
    ApiError,
    BackcastError,
    HeldError,
    InDoubtError,
    InputError,
    LedgerError,
    ReportError,
)
from backcast.orchestration import clients
from backcast.orchestration.explaining import explained
from backcast.orchestration.sensor import LONGEST_WAIT, BatchEndedSensor
from backcast.orchestration.trigger import BatchEndedTrigger
from backcast.services import waiting
from backcast.services.waiting import AwaitedBatch

NOW = datetime(2026, 11, 25, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (ApiError("away"), True),
        (LedgerError("away"), True),
        (RefusedError("slow down", passing=True), True),
        (RefusedError("no credit"), False),
        (InDoubtError("watched"), False),
        (HeldError("held"), False),
        (InputError("no such repository"), False),
        (ReportError("disk full"), False),
    ],
)
def test_only_what_may_pass_is_retried(error: BackcastError, retried: bool) -> None:
    @explained
    def task() -> None:
        raise error

    with pytest.raises(type(error) if retried else AirflowFailException, match=str(error)):
        task()


Look = Callable[[AwaitedBatch | BackcastError], BatchEndedSensor]


@pytest.fixture
def sensor_that_sees(monkeypatch: pytest.MonkeyPatch) -> Look:
    """A wait for batch 7 whose look at it has this outcome."""

    def sensor(outcome: AwaitedBatch | BackcastError) -> BatchEndedSensor:
        def look(_ledger: object, _api: object, _clock: object, batch_id: int) -> AwaitedBatch:
            assert batch_id == 7
            if isinstance(outcome, BackcastError):
                raise outcome
            return outcome

        monkeypatch.setattr(waiting, "awaited_batch", look)
        monkeypatch.setattr(clients, "ledger", object)
        monkeypatch.setattr(clients, "api", object)
        monkeypatch.setattr(clients, "now", lambda: NOW)
        return BatchEndedSensor(task_id="wait", batch_id=7)

    return sensor


def deferral(sensor: BatchEndedSensor, **resumed: Any) -> tuple[Any, str, dict[str, Any]]:
    context: Any = {}
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(context, **resumed)
    deferred = caught.value
    return deferred.trigger, deferred.method_name, deferred.kwargs or {}


def test_a_batch_in_doubt_is_looked_for_again_and_again(sensor_that_sees: Look) -> None:
    sensor = sensor_that_sees(AwaitedBatch(7, None, None, ended=False, doubt="in doubt"))
    for resumed in ({}, {"event": NOW}):
        trigger, method, kwargs = deferral(sensor, **resumed)
        assert isinstance(trigger, TimeDeltaTrigger)
        assert (method, kwargs) == ("execute", {})


def test_the_wait_is_for_the_batch_that_stands_for_the_one_asked_for(sensor_that_sees: Look) -> None:
    sensor = sensor_that_sees(AwaitedBatch(8, "msgbatch_8", NOW, ended=False))
    trigger, method, kwargs = deferral(sensor)
    assert isinstance(trigger, BatchEndedTrigger)
    assert trigger.wait_until == (NOW + LONGEST_WAIT).isoformat()
    context: Any = {}
    assert getattr(sensor, method)(context, event={"status": "ended"}, **kwargs) == 8
    with pytest.raises(AirflowFailException, match="Nothing is sent again"):
        getattr(sensor, method)(context, event={"status": "overdue"}, **kwargs)


def test_the_wait_outlasts_an_api_that_is_away_but_not_for_ever(sensor_that_sees: Look) -> None:
    sensor = sensor_that_sees(ApiError("away"))
    trigger, method, kwargs = deferral(sensor)
    assert isinstance(trigger, TimeDeltaTrigger)
    assert (method, kwargs) == ("execute", {"away_since": NOW.isoformat()})
    # What was noted first is kept.
    earlier = {"away_since": (NOW - timedelta(hours=1)).isoformat()}
    assert deferral(sensor, event=NOW, **earlier)[2] == earlier
    context: Any = {}
    with pytest.raises(ApiError, match="away"):
        sensor.execute(context, event=NOW, away_since=(NOW - LONGEST_WAIT - timedelta(seconds=1)).isoformat())


@pytest.mark.parametrize("error", [RefusedError("no such key"), HeldError("held"), InputError("no such batch")])
def test_the_wait_fails_at_once_when_a_person_must_decide(sensor_that_sees: Look, error: BackcastError) -> None:
    context: Any = {}
    with pytest.raises(AirflowFailException, match=str(error)):
        sensor_that_sees(error).execute(context)
