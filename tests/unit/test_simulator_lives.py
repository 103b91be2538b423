"""Whatever is done to a batch, and whenever: what must hold of it then and ever after."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulated import DAY, Simulated

from backcast_simulator.errors import ApiError
from backcast_simulator.faults import parse_faults
from backcast_simulator.outcomes import Odds
from backcast_simulator.settings import Readings
from backcast_simulator.weather import WEATHERS

STATUSES = ("in_progress", "canceling", "ended")
FAULTS = st.sampled_from(
    [
        [],
        [{"kind": "never_ends"}],
        [{"kind": "expires", "share": 0.5}],
        [{"kind": "canceled", "after_seconds": 7200}],
        [{"kind": "never_ends"}, {"kind": "canceled", "after_seconds": 100_000}],
    ]
)
STEPS = st.lists(st.sampled_from(["cancel", "wait a little", "wait", "wait a day", "delete early"]), max_size=8)
WAITS = {"wait a little": 10, "wait": 1800, "wait a day": DAY}


@settings(deadline=None, max_examples=60)
@given(
    weather=st.sampled_from(list(WEATHERS)),
    moving=st.booleans(),
    size=st.integers(1, 30),
    faults=FAULTS,
    steps=STEPS,
)
def test_a_batch_moves_one_way_and_its_numbers_add_up(
    weather: str, moving: bool, size: int, faults: list[Any], steps: list[str]
) -> None:
    world = Simulated(
        odds=Odds(weather=WEATHERS[weather], errored_share=0.2, expired_share=0.1),
        readings=Readings(counts="moving" if moving else "at_end"),
    )
    world.simulator.set_faults(parse_faults(faults))
    batch_id = world.create(size).id
    seen = [view(world, batch_id)]
    for step in steps:
        if step in WAITS:
            world.wait(WAITS[step])
        elif seen[-1]["processing_status"] == "ended":
            check_the_end(world, batch_id)
        else:
            check_that_it_has_not_ended(world, batch_id, cancel=step == "cancel")
        seen.append(view(world, batch_id))
    for before, after in pairwise(seen):
        check_step(size, before, after)


def view(world: Simulated, batch_id: str) -> dict[str, Any]:
    return world.simulator.retrieve(batch_id, "")


def check_step(size: int, before: dict[str, Any], after: dict[str, Any]) -> None:
    assert sum(after["request_counts"].values()) == size
    assert STATUSES.index(after["processing_status"]) >= STATUSES.index(before["processing_status"])
    assert after["created_at"] == before["created_at"]
    assert after["request_counts"]["succeeded"] >= before["request_counts"]["succeeded"]
    ended = after["processing_status"] == "ended"
    assert (after["request_counts"]["processing"] == 0) or not ended
    assert (after["ended_at"] is not None) is ended
    if before["processing_status"] == "ended":
        assert {**after, "archived_at": None, "results_url": None} == {
            **before,
            "archived_at": None,
            "results_url": None,
        }


def check_that_it_has_not_ended(world: Simulated, batch_id: str, *, cancel: bool) -> None:
    with pytest.raises(ApiError) as early:
        world.simulator.results(batch_id)
    assert early.value.status == 404
    with pytest.raises(ApiError, match="In progress batches cannot be deleted"):
        world.simulator.delete(batch_id)
    if cancel:
        first = world.simulator.cancel(batch_id, "")
        assert world.simulator.cancel(batch_id, "") == first
        assert first["processing_status"] == "canceling"


def check_the_end(world: Simulated, batch_id: str) -> None:
    counts = view(world, batch_id)["request_counts"]
    types = [row.result.type for row in world.client.messages.batches.results(batch_id)]
    assert {name: types.count(name) for name in counts} == counts
    billed = world.simulator.bill()["requests"]
    assert len({charge["custom_id"] for charge in billed}) == len(billed) == counts["succeeded"]
    with pytest.raises(ApiError, match="cannot be canceled"):
        world.simulator.cancel(batch_id, "")
