"""Which slot is next, and until when its run may start: nothing is submitted for a slot whose cut-off has passed."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backcast.domain.schedule import Due, ReportSchedule, RollingSchedule, Schedule, parse_due, schedule_of
from backcast.domain.schedule_data import schedule_data, schedule_from
from backcast.domain.sla import Terms, cutoffs
from backcast.domain.slots import deadline_of_slot, lateness, next_slot, start_by

H, M = timedelta(hours=1), timedelta(minutes=1)
THIRTY = Terms(sla=30 * H, drain=15 * M)
WEEKDAYS = schedule_of(THIRTY, parse_due("Mon-Fri 08:00 Europe/Berlin"), None)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Thursday's report: due at 07:00 UTC, its slots at 01:00 and 05:00 the day before.
FIRST, SECOND, DUE = utc("2026-11-25T01:00"), utc("2026-11-25T05:00"), utc("2026-11-26T07:00")


def test_a_run_may_start_while_a_batch_is_certain_to_have_its_whole_window() -> None:
    slots = list(takewhile(lambda slot: slot.at <= SECOND, WEEKDAYS.slots(FIRST)))
    assert [(slot.at, slot.deadline) for slot in slots] == [(FIRST, DUE), (SECOND, DUE)]
    # 24 h of window, 15 min to answer, 50 min to settle, read and publish.
    assert {start_by(WEEKDAYS, slot) for slot in slots} == {utc("2026-11-25T05:55")}


@pytest.mark.parametrize(
    ("now", "after", "at"),
    [
        # Deployed, or looked at for the first time, a while after a slot.
        ("2026-11-25T00:00", None, FIRST),
        ("2026-11-25T01:19", None, FIRST),
        ("2026-11-25T01:21", None, SECOND),
        # A scheduler that was away for three hours starts it late, for six hours not at all.
        ("2026-11-25T04:00", "2026-11-24T05:00", FIRST),
        ("2026-11-25T07:00", "2026-11-24T05:00", utc("2026-11-26T01:00")),
        # Of two that may still start, the last one serves both.
        ("2026-11-25T05:30", "2026-11-24T05:00", SECOND),
        ("2026-11-25T05:30", "2026-11-25T05:00", utc("2026-11-26T01:00")),
        # A week in which the DAG was paused is not made up for.
        ("2026-11-25T07:00", "2026-11-17T05:00", utc("2026-11-26T01:00")),
    ],
)
def test_the_next_run_is_the_last_that_may_still_start_or_the_first_to_come(
    now: str, after: str | None, at: datetime
) -> None:
    slot = next_slot(WEEKDAYS, utc(now), after=utc(after) if after else None)
    assert slot is not None
    assert slot.at == at


def test_a_dag_that_catches_up_takes_the_first_that_may_still_start_and_none_that_may_not() -> None:
    after = utc("2026-11-24T05:00")
    slot = next_slot(WEEKDAYS, utc("2026-11-25T05:30"), after=after, catchup=True)
    assert slot is not None
    assert slot.at == FIRST
    assert next_slot(WEEKDAYS, utc("2026-11-25T07:00"), after=after, latest=SECOND, catchup=True) is None


def test_bounds_are_kept() -> None:
    now = utc("2026-11-25T00:00")
    assert next_slot(WEEKDAYS, now, latest=utc("2026-11-25T00:59")) is None
    late = next_slot(WEEKDAYS, now, earliest=utc("2026-12-01T00:00"))
    assert late is not None
    assert late.at == utc("2026-12-01T01:00")


def test_a_moment_that_is_no_slot_has_no_deadline() -> None:
    assert deadline_of_slot(WEEKDAYS, FIRST) == DUE
    assert deadline_of_slot(WEEKDAYS, FIRST + M) is None


@pytest.mark.parametrize(
    ("first", "due"),
    [
        # The Sundays of the clock changes have 25 and 23 hours; 30 hours before are 30 hours.
        ("2026-10-25T01:00", "2026-10-26T07:00"),
        ("2026-03-29T00:00", "2026-03-30T06:00"),
    ],
)
def test_the_slot_before_a_clock_change_is_owed_to_the_local_hour_after_it(first: str, due: str) -> None:
    slot = next_slot(WEEKDAYS, utc(first) - M)
    assert slot is not None
    assert (slot.at, slot.deadline) == (utc(first), utc(due))
    assert next_slot(WEEKDAYS, start_by(WEEKDAYS, slot) + M, after=utc(first) - 72 * H) != slot


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]
terms = st.builds(lambda hours, drain: Terms(sla=hours * H, drain=drain * M), st.integers(30, 120), st.integers(0, 200))
reports = st.builds(
    ReportSchedule,
    terms=terms,
    due=st.builds(
        Due,
        times=st.lists(st.times().map(lambda at: time(at.hour, at.minute)), min_size=1, max_size=3, unique=True).map(
            lambda times: tuple(sorted(times))
        ),
        weekdays=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
        zone=st.sampled_from(ZONES),
    ),
    interval=st.sampled_from([1 * H, 4 * H, 24 * H]),
    most_slots=st.sampled_from([None, 1, 3]),
)
rollings = st.builds(RollingSchedule, terms=terms, interval=st.sampled_from([5 * M, 1 * H]))
schedules = st.one_of(reports, rollings)
moments = st.integers(0, 3 * 365 * 24 * 60).map(lambda count: utc("2025-01-01T00:00") + count * M)
spans = st.one_of(st.none(), st.integers(1, 60 * 24 * 30).map(lambda count: count * M))


# Weeks of slots, 5 minutes apart, take their time on a busy machine.
@settings(deadline=None)
@given(schedules, moments, spans, st.booleans())
def test_whatever_was_away_or_paused_no_slot_is_run_after_its_cut_off(
    schedule: Schedule,
    now: datetime,
    since: timedelta | None,
    catchup: bool,
) -> None:
    after = now - since if since else None
    slot = next_slot(schedule, now, after=after, catchup=catchup)
    assert slot is not None
    assert slot.at > now or start_by(schedule, slot) >= now
    assert after is None or slot.at > after
    assert deadline_of_slot(schedule, slot.at) == slot.deadline
    # Even the last moment is one after which the deadline can be kept by what follows a window, or by answering.
    last = start_by(schedule, slot)
    assert slot.at + lateness(schedule) <= last < cutoffs(schedule.terms, slot.deadline).cancel_at


@settings(deadline=None)
@given(schedules, moments)
def test_a_scheduler_that_is_there_runs_every_slot_once(schedule: Schedule, start: datetime) -> None:
    after, met = start, []
    for slot, _ in zip(schedule.slots(start + M), range(5), strict=False):
        found = next_slot(schedule, slot.at + timedelta(seconds=2), after=after)
        assert found is not None
        met.append(found)
        after = found.at
        assert found == slot
    assert len(met) == 5


@settings(deadline=None)
@given(schedules)
def test_another_process_is_told_the_same_schedule(schedule: Schedule) -> None:
    told = schedule_data(schedule)
    assert schedule_from(told) == schedule
    assert all(isinstance(value, str | int | float | None) for value in told.values())
