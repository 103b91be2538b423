"""The wait for a batch: one event of three, whatever the API answers meanwhile."""

from __future__ import annotations

import asyncio
import importlib
import logging
from datetime import UTC, datetime, timedelta

import pytest

from backcast.orchestration.trigger import EVENTS, GONE_AFTER, BatchEndedTrigger, _event

NOW = datetime(2026, 11, 25, 3, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("ended", "now", "missing_since", "event"),
    [
        (True, NOW, None, "ended"),
        (True, LATER, None, "ended"),
        (False, NOW, None, None),
        (False, NOW, NOW, None),
        (False, NOW + GONE_AFTER, NOW, "gone"),
        (False, LATER, None, "overdue"),
    ],
)
def test_a_look_at_a_batch_leads_to_one_event_or_to_another_look(
    ended: bool, now: datetime, missing_since: datetime | None, event: str | None
) -> None:
    assert _event(ended, now, LATER, missing_since) == event
    assert event is None or event in EVENTS


def test_another_triggerer_can_go_on_with_the_wait() -> None:
    trigger = BatchEndedTrigger("anthropic_default", "msgbatch_1", 60, NOW.isoformat())
    path, arguments = trigger.serialize()
    module, name = path.rsplit(".", 1)
    assert getattr(importlib.import_module(module), name)(**arguments).serialize() == trigger.serialize()


def test_ending_the_wait_by_hand_leaves_the_batch_alone_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trigger = BatchEndedTrigger("no_such_connection", "msgbatch_1", 60, NOW.isoformat())
    monkeypatch.setattr(trigger, "_log", logging.getLogger("trigger"))
    # No connection is looked up, so no API can have been called.
    asyncio.run(trigger.on_kill())
    (record,) = caplog.records
    assert "msgbatch_1 is left alone" in record.getMessage()
    assert "backcast cancel msgbatch_1" in record.getMessage()


def test_nothing_else_happens_when_a_triggerer_stops_waiting() -> None:
    assert "cleanup" not in vars(BatchEndedTrigger)
