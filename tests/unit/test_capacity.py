"""What can be answered synchronously in time, and what may be canceled for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backcast.domain.capacity import (
    NO_WORK,
    SHARE,
    Demand,
    OpenBatch,
    Rate,
    Work,
    batches_to_split_into,
    drain,
    faster_by,
    fits,
    to_cancel,
)

H, M = timedelta(hours=1), timedelta(minutes=1)
RATE = Rate(requests_per_minute=50, tokens_per_minute=100_000, attempts=2, longest_call=2 * M)
AT = datetime(2026, 11, 25, tzinfo=UTC)


def test_the_drain_is_what_the_narrower_limit_takes_and_the_attempts_of_the_last_call() -> None:
    assert drain(Work(500, 0), RATE) == 10 * M + 4 * M
    assert drain(Work(500, 2_000_000), RATE) == 20 * M + 4 * M
    assert drain(NO_WORK, RATE) == timedelta()


@pytest.mark.parametrize("wrong", ["requests_per_minute", "tokens_per_minute", "attempts"])
def test_a_rate_of_nothing_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="must be above 0, not 0"):
        Rate(**{wrong: 0})  # type: ignore[arg-type]  a name drawn from the class
    with pytest.raises(ValueError, match="some time"):
        Rate(longest_call=timedelta())


def test_a_run_is_split_only_when_it_cannot_be_rescued_whole() -> None:
    assert batches_to_split_into(5 * H, 6 * H) == 1
    assert batches_to_split_into(7 * H, 6 * H) == 4
    assert batches_to_split_into(60 * H, 6 * H) == 30
    assert batches_to_split_into(600 * H, 6 * H) == 32


def test_runs_that_are_due_together_share_the_capacity() -> None:
    alone = Demand(AT, AT + 1 * H, Work(2800, 0))
    assert fits([alone], RATE)
    assert not fits([alone, alone], RATE)
    assert fits([alone, Demand(AT + 1 * H, AT + 2 * H, Work(2800, 0))], RATE)
    # Released later, so what is left of the first hour is of no use to it.
    assert not fits([alone, Demand(AT + 30 * M, AT + 1 * H, Work(2800, 0))], RATE)


def test_how_much_faster_it_must_be_is_said_or_that_no_rate_is_enough() -> None:
    demand = Demand(AT, AT + 1 * H, Work(5600, 0))
    factor = faster_by([demand], RATE)
    assert factor == pytest.approx(2.0)
    assert fits([demand], RATE.times(factor))
    assert faster_by([Demand(AT, AT + 3 * M, Work(1, 0))], RATE) is None
    assert faster_by([], RATE) == 1.0


def simulated_edf(demands: list[Demand], rate: Rate) -> bool:
    """Answer minute by minute, the earliest due first, and say whether all was in time."""
    left = {number: float(demand.work.requests) for number, demand in enumerate(demands)}
    now = AT
    while any(left.values()):
        capacity = rate.requests_per_minute
        for number in sorted(left, key=lambda number: demands[number].due):
            if demands[number].release <= now and left[number]:
                done = min(capacity, left[number])
                left[number] -= done
                capacity -= done
        now += M
        if any(left[number] and demands[number].due <= now for number in left):
            return False
    return True


@given(
    st.lists(
        st.builds(
            lambda release, length, requests: Demand(AT + release * M, AT + (release + length) * M, Work(requests, 0)),
            st.integers(0, 30),
            st.integers(1, 40),
            st.integers(1, 900),
        ),
        max_size=5,
    )
)
def test_what_fits_is_answered_in_time_when_the_earliest_due_goes_first(demands: list[Demand]) -> None:
    if fits(demands, RATE):
        assert simulated_edf(demands, RATE)


batches = st.lists(st.integers(1, 20_000), max_size=12).map(
    lambda sizes: [OpenBatch(number, Work(size, size * 1000)) for number, size in enumerate(sizes)]
)


@given(batches, st.integers(0, 30_000))
def test_never_more_is_canceled_than_can_be_drained(batches: list[OpenBatch], rescuing: int) -> None:
    work = Work(rescuing, rescuing * 1000)
    chosen = to_cancel(batches, work, RATE, last_moment=False)
    by_id = {batch.batch_id: batch.work for batch in batches}
    canceled = sum((by_id[batch_id] for batch_id in chosen), work)
    assert not chosen or drain(canceled, RATE) <= SHARE or (not rescuing and len(chosen) == 1)
    # Something always goes on.
    assert chosen or rescuing or not batches


@given(batches)
def test_at_the_last_moment_everything_is_fetched(batches: list[OpenBatch]) -> None:
    assert len(to_cancel(batches, Work(10**6, 0), RATE, last_moment=True)) == len(batches)
