"""The wait for a batch: one event of three, whatever the API answers meanwhile."""

from __future__ import annotations

import importlib
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


def test_killing_the_wait_does_not_touch_the_batch() -> None:
    assert "on_kill" not in vars(BatchEndedTrigger)
