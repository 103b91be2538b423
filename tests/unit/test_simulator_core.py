"""Batches: their states over time, with a clock that only the test moves."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from backcast_simulator.clock import SteppedClock
from backcast_simulator.core import Batch, Batches
from backcast_simulator.errors import ApiError
from backcast_simulator.outcomes import Odds, parse_rules
from backcast_simulator.weather import WEATHERS

START = dt.datetime(2026, 11, 24, 22, tzinfo=dt.UTC)
VERSION = "2026-10-21"


def params(text: str = "hello") -> dict[str, Any]:
    return {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": text}]}


class World:
    def __init__(self, **odds: Any) -> None:
        self.clock = SteppedClock(START)
        self.batches = Batches(Odds(**odds))
        self._count = 0

    def create(self, *custom_ids: str, text: str = "hello") -> Batch:
        self._count += 1
        pairs = [(custom_id, params(text)) for custom_id in custom_ids]
        return self.batches.create(f"msgbatch_simulator_{self._count}", pairs, self.clock.now(), version=VERSION)

    def view(self, batch: Batch) -> dict[str, Any]:
        return batch.view(self.clock.now(), "http://localhost:1")

    def wait(self, **step: float) -> None:
        self.clock.advance(dt.timedelta(**step))


def test_a_batch_counts_its_requests_as_processing_until_the_last_one_has_ended() -> None:
    world = World()
    batch = world.create("a", "b", "c")
    latencies = sorted(r.fate.latency for r in batch.requests if r.fate.latency)
    world.clock.advance(latencies[-2])
    assert world.view(batch)["request_counts"]["processing"] == 3
    assert world.view(batch)["results_url"] is None
    world.clock.advance(latencies[-1] - latencies[-2])
    ended = world.view(batch)
    assert ended["processing_status"] == "ended"
    assert ended["request_counts"] == {"processing": 0, "succeeded": 3, "errored": 0, "canceled": 0, "expired": 0}
    assert ended["results_url"] == f"http://localhost:1/v1/messages/batches/{batch.id}/results"
    assert ended["ended_at"] == batch.ends_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_what_never_finishes_expires_after_24_hours() -> None:
    world = World()
    world.batches.rules = parse_rules([{"match": "hello", "outcome": "expired"}])
    batch = world.create("a")
    world.wait(hours=23, minutes=59)
    assert batch.status(world.clock.now()) == "in_progress"
    world.wait(minutes=1)
    assert world.view(batch)["request_counts"]["expired"] == 1
    assert batch.expires_at == START + dt.timedelta(hours=24)


def test_cancel_delivers_what_was_finished_and_cancels_the_rest_after_a_while() -> None:
    world = World()
    batch = world.create(*(f"r{i}" for i in range(20)))
    latencies = sorted(r.fate.latency for r in batch.requests if r.fate.latency)
    world.clock.advance(latencies[9])
    world.batches.cancel(batch.id, world.clock.now())
    assert world.view(batch)["processing_status"] == "canceling"
    world.wait(seconds=25)
    counts = world.view(batch)["request_counts"]
    assert (counts["succeeded"], counts["canceled"]) == (10, 10)
    with pytest.raises(ApiError, match="cannot be canceled"):
        world.batches.cancel(batch.id, world.clock.now())


def test_results_and_deletion_wait_for_the_end() -> None:
    world = World()
    batch = world.create("a")
    with pytest.raises(ApiError) as refused:
        world.batches.results(batch.id, world.clock.now())
    assert refused.value.status == 404
    with pytest.raises(ApiError, match="In progress batches cannot be deleted"):
        world.batches.delete(batch.id, world.clock.now())
    world.wait(hours=24)
    world.batches.delete(batch.id, world.clock.now())
    with pytest.raises(ApiError, match="not found"):
        world.batches.get(batch.id)


def test_results_are_gone_after_29_days_and_the_batch_is_still_listed() -> None:
    world = World()
    batch = world.create("a")
    world.wait(days=29)
    with pytest.raises(ApiError, match="no longer available"):
        world.batches.results(batch.id, world.clock.now())
    assert world.view(batch)["archived_at"] is not None
    assert world.batches.page(20, None, None) == ([batch], False)


def test_result_rows_come_in_another_order_and_always_in_the_same_one() -> None:
    world = World()
    names = [f"r{i:03}" for i in range(50)]
    batch = world.create(*names)
    world.wait(hours=24)

    def rows() -> list[str]:
        return [r.custom_id for part in world.batches.results(batch.id, world.clock.now())[1] for r in part]

    first = rows()
    again = rows()
    assert first == again
    assert first != names
    assert sorted(first) == names


def test_pages_go_from_new_to_old_and_back() -> None:
    world = World()
    ids = [world.create("a").id for _ in range(5)][::-1]

    def page(limit: int, after: str | None = None, before: str | None = None) -> tuple[list[str], bool]:
        batches, more = world.batches.page(limit, after, before)
        return [batch.id for batch in batches], more

    assert page(2) == (ids[:2], True)
    assert page(2, after=ids[1]) == (ids[2:4], True)
    assert page(2, after=ids[3]) == (ids[4:], False)
    assert page(2, before=ids[3]) == (ids[1:3], True)
    with pytest.raises(ApiError, match="limit: Input should be less than or equal to 1000"):
        page(1001)


def test_shares_of_requests_fail_by_custom_id_and_the_same_ones_each_time() -> None:
    def outcomes() -> list[str]:
        world = World(errored_share=0.2, expired_share=0.1)
        batch = world.create(*(f"r{i}" for i in range(1000)))
        world.wait(hours=24)
        return [batch.outcome(request, world.clock.now()) for request in batch.requests]

    first = outcomes()
    assert first == outcomes()
    assert 150 < first.count("errored") < 250
    assert 70 < first.count("expired") < 130
    world = World(errored_share=1.0)
    types = {r.fate.error.type for r in world.create(*(f"r{i}" for i in range(50))).requests if r.fate.error}
    assert types == {"api_error", "overloaded_error"}


def test_a_rule_may_hold_for_the_first_attempt_only() -> None:
    world = World()
    world.batches.rules = parse_rules(
        [{"match": "src/a.py", "attempts": [1], "outcome": "errored", "error_type": "overloaded_error"}]
    )
    first, second = world.create("x", text="see src/a.py"), world.create("y", text="see src/a.py")
    other = world.create("z", text="see src/b.py")
    assert first.requests[0].fate.error is not None
    assert first.requests[0].fate.error.type == "overloaded_error"
    assert second.requests[0].fate.error is None
    assert other.requests[0].fate.error is None


def test_a_rule_that_is_wrong_is_refused_with_its_place() -> None:
    with pytest.raises(ApiError, match=r"rules\.0\.outcome: one of errored, "):
        parse_rules([{"match": "a", "outcome": "explodes"}])


@pytest.mark.parametrize(("weather", "low", "high"), [("calm", 0.5, 0.7), ("busy", 5.0, 7.0)])
def test_weather_has_the_median_it_says(weather: str, low: float, high: float) -> None:
    latencies = [WEATHERS[weather].latency(7, f"r{i}") for i in range(1001)]
    hours = sorted(latency.total_seconds() / 3600 for latency in latencies if latency)
    assert low < hours[500] < high
