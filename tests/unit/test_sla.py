"""The arithmetic of deadlines, as the 30-hour example works it through, and what always holds of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backcast.domain.durations import parse_duration, told, written
from backcast.domain.sla import (
    SHORTEST_INTERVAL,
    SlaError,
    Terms,
    choose_interval,
    cutoffs,
    missing_reserve,
    most_at_once,
    require_feasible,
    whole_rounds,
    worst_case,
)

H, M = timedelta(hours=1), timedelta(minutes=1)
THIRTY = Terms(sla=30 * H, drain=11 * M)
DUE = datetime(2026, 11, 25, 7, tzinfo=UTC)

durations = st.integers(0, 100 * 60).map(lambda minutes: minutes * M)
terms = st.builds(Terms, sla=st.integers(1, 400).map(lambda hours: hours * H), drain=durations)


def test_thirty_hours_leave_a_buffer_of_six_of_which_four_may_lie_between_two_slots() -> None:
    assert THIRTY.buffer == 6 * H
    assert THIRTY.reserve == 30 * M + 10 * M + 11 * M + 30 * M
    assert THIRTY.longest_interval == 4 * H + 39 * M
    assert choose_interval(THIRTY) == 4 * H
    assert missing_reserve(THIRTY, 6 * H) == THIRTY.reserve
    assert not missing_reserve(THIRTY, 4 * H)


def test_the_smallest_sla_is_what_a_whole_window_and_the_reserve_need() -> None:
    assert THIRTY.minimum_sla == 24 * H + 81 * M
    require_feasible(THIRTY)
    with pytest.raises(SlaError, match=r"24 h cannot hold: 24 h window .* = 25 h 21 min. Write 25h21m or more"):
        require_feasible(Terms(sla=24 * H, drain=11 * M))
    with pytest.raises(SlaError, match=r"5 min until the next slot = 25 h 15 min. Write 25h15m or more"):
        require_feasible(Terms(sla=25 * H + 10 * M), SHORTEST_INTERVAL)
    require_feasible(Terms(sla=25 * H + 15 * M), SHORTEST_INTERVAL)


def test_a_window_of_nothing_and_an_sla_beyond_the_results_are_refused() -> None:
    with pytest.raises(SlaError, match="window"):
        Terms(sla=30 * H, window=timedelta())
    with pytest.raises(SlaError, match="at most 672h"):
        Terms(sla=29 * 24 * H)


def test_an_interval_is_a_part_of_a_day_down_to_minutes() -> None:
    assert choose_interval(Terms(sla=26 * H)) == 30 * M
    assert choose_interval(Terms(sla=25 * H + 14 * M)) is None
    assert choose_interval(Terms(sla=72 * H)) == 24 * H


def test_seventy_two_hours_hold_two_whole_rounds() -> None:
    assert whole_rounds(Terms(sla=72 * H)) == 2
    assert whole_rounds(THIRTY) == 1
    assert whole_rounds(Terms(sla=49 * H + 39 * M)) == 1
    assert whole_rounds(Terms(sla=49 * H + 40 * M)) == 2
    assert whole_rounds(Terms(sla=24 * H)) == 0


def test_the_cut_offs_of_a_run_leave_time_for_all_that_follows() -> None:
    cut = cutoffs(THIRTY, DUE)
    assert cut.cancel_at == DUE - 61 * M
    assert cut.rebatch_until == DUE - 25 * H - 1 * M
    assert cut.batch_until == cut.cancel_at - 20 * M
    assert cut.fetch_at == DUE - 50 * M


@given(terms, st.integers(0, 72))
def test_in_the_worst_case_everything_is_published_with_the_margin_left_if_the_drain_fits(
    terms: Terms, hours_before: int
) -> None:
    submitted = DUE - min(terms.sla, terms.window + hours_before * H)
    steps = worst_case(terms, submitted, DUE)
    moments = [step.at for step in steps]
    if cutoffs(terms, DUE).cancel_at >= submitted:
        assert moments == sorted(moments)
        assert steps[-2].at <= DUE - terms.margin


@given(terms)
def test_a_chosen_interval_always_leaves_the_reserve(terms: Terms) -> None:
    interval = choose_interval(terms)
    if interval is None:
        assert terms.longest_interval < 5 * M
    else:
        assert interval + terms.window + terms.reserve <= terms.sla
        assert timedelta(days=1) % interval == timedelta()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20))))
def test_the_sweep_counts_what_runs_at_any_moment(spans: list[tuple[int, int]]) -> None:
    moments = [(DUE + start * H, DUE + (start + length) * H) for start, length in spans]
    counted = [sum(start <= DUE + hour * H < end for start, end in moments) for hour in range(71)]
    assert most_at_once(moments) == max(counted)


def test_durations_are_read_and_written() -> None:
    assert told(30 * H) == "30 h"
    assert told(81 * M) == "1 h 21 min"
    assert told(-2 * H) == "-2 h"
    assert told(timedelta()) == "0 min"
    assert told(timedelta(seconds=61)) == "2 min"
    assert written(81 * M) == "1h21m"


@given(st.integers(1, 10**6).map(lambda minutes: minutes * M))
def test_what_is_written_is_read_again(duration: timedelta) -> None:
    assert parse_duration(written(duration)) == duration
