"""Slots are computed backward from local due times, across clock changes, leap days and years."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backcast.domain.schedule import (
    Due,
    ReportSchedule,
    RollingSchedule,
    crons_before,
    due_times,
    instant,
    parse_due,
    schedule_of,
)
from backcast.domain.sla import Terms, cutoffs, most_at_once

H, M = timedelta(hours=1), timedelta(minutes=1)
THIRTY = Terms(sla=30 * H, drain=11 * M)
BERLIN = "Europe/Berlin"
WEEKDAYS = parse_due(f"Mon-Fri 08:00 {BERLIN}")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "due", "shown"),
    [
        ("08:00 Europe/Berlin", Due((time(8),), tuple(range(7)), BERLIN), "08:00 Europe/Berlin"),
        ("8:00", Due((time(8),), tuple(range(7)), "UTC"), "08:00 UTC"),
        ("Mon-Fri 08:00 UTC", Due((time(8),), (0, 1, 2, 3, 4), "UTC"), "Mon-Fri 08:00 UTC"),
        ("Mon 08:00 UTC", Due((time(8),), (0,), "UTC"), "Mon 08:00 UTC"),
        ("Mon,Thu 18:00,06:30 UTC", Due((time(6, 30), time(18)), (0, 3), "UTC"), "Mon,Thu 06:30, 18:00 UTC"),
        ("Fri-Mon 08:00 UTC", Due((time(8),), (0, 4, 5, 6), "UTC"), "Mon,Fri,Sat,Sun 08:00 UTC"),
    ],
)
def test_due_times_are_read_and_shown(text: str, due: Due, shown: str) -> None:
    assert parse_due(text) == due
    assert str(due) == shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("soon", "says no due time"),
        ("25:00 UTC", "no time of day"),
        ("08:00 Europe/Atlantis", "no time zone"),
        ("Mon-Fry 08:00 UTC", "no weekday"),
        ("Mon-Tue-Wed 08:00 UTC", "no weekday"),
        ("", "says no due time"),
    ],
)
def test_what_is_no_due_time_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_due(text)


def test_a_time_that_a_day_has_twice_is_its_first_and_one_that_it_lacks_is_shifted_by_the_gap() -> None:
    assert instant(date(2026, 10, 25), time(2, 30), BERLIN) == utc("2026-10-25T00:30")
    assert instant(date(2026, 3, 29), time(2, 30), BERLIN) == utc("2026-03-29T01:30")
    # Half an hour, and at midnight.
    assert instant(date(2026, 10, 4), time(2, 15), "Australia/Lord_Howe") == utc("2026-10-03T15:45")
    assert instant(date(2026, 9, 6), time(0, 0), "America/Santiago") == utc("2026-09-06T04:00")


@pytest.mark.parametrize(
    ("due", "lead", "crons"),
    [
        ("Mon 06:30 Europe/Berlin", timedelta(minutes=30), ["0 6 * * 1"]),
        ("Mon 00:10 UTC", timedelta(minutes=30), ["40 23 * * 0"]),
        ("Mon,Sun 01:00 UTC", timedelta(days=1, hours=2), ["0 23 * * 5,6"]),
        ("06:30,18:00 UTC", timedelta(hours=1), ["30 5 * * *", "0 17 * * *"]),
        ("Mon 06:00 UTC", timedelta(seconds=1), ["59 5 * * 1"]),
    ],
)
def test_what_starts_so_long_before_it_is_due_does_so_by_cron(due: str, lead: timedelta, crons: list[str]) -> None:
    assert crons_before(parse_due(due), lead) == crons


def test_a_report_is_due_at_its_local_time_whatever_the_clocks_do() -> None:
    autumn = list(islice(due_times(WEEKDAYS, utc("2026-10-22T12:00")), 3))
    assert autumn == [utc("2026-10-23T06:00"), utc("2026-10-26T07:00"), utc("2026-10-27T07:00")]
    spring = list(islice(due_times(WEEKDAYS, utc("2026-03-27T12:00")), 2))
    assert spring == [utc("2026-03-30T06:00"), utc("2026-03-31T06:00")]


def test_leap_days_and_the_ends_of_years_are_days_like_others() -> None:
    every_day = parse_due("08:00 UTC")
    assert list(islice(due_times(every_day, utc("2028-02-28T09:00")), 2)) == [
        utc("2028-02-29T08:00"),
        utc("2028-03-01T08:00"),
    ]
    assert next(due_times(every_day, utc("2026-12-31T08:01"))) == utc("2027-01-01T08:00")


def test_thirty_hours_before_eight_are_two_slots_and_six_hours_apart_only_one_is_safe() -> None:
    schedule = schedule_of(THIRTY, parse_due("08:00 Europe/Berlin"), None)
    assert isinstance(schedule, ReportSchedule)
    assert schedule.leads() == [30 * H, 26 * H]
    assert str(schedule) == "submits 30 h and 26 h before 08:00 Europe/Berlin"
    # A whole window from 24 h before ends at the due time itself.
    assert ReportSchedule(THIRTY, schedule.due, 6 * H).leads() == [30 * H]
    assert ReportSchedule(THIRTY, schedule.due, 4 * H, most_slots=1).leads() == [30 * H]


def test_the_slots_of_a_weekend_of_clock_change_are_elapsed_time_before_the_due_times() -> None:
    schedule = schedule_of(THIRTY, WEEKDAYS, 4 * H)
    slots = list(islice(schedule.slots(utc("2026-10-23T00:00")), 3))
    assert [(slot.at, slot.deadline) for slot in slots] == [
        # Monday 08:00 is 07:00 UTC, after the change; Sunday has 25 hours.
        (utc("2026-10-25T01:00"), utc("2026-10-26T07:00")),
        (utc("2026-10-25T05:00"), utc("2026-10-26T07:00")),
        (utc("2026-10-26T01:00"), utc("2026-10-27T07:00")),
    ]


def test_one_moment_that_could_serve_two_reports_is_owed_to_the_earlier_one() -> None:
    schedule = ReportSchedule(Terms(sla=50 * H), parse_due("08:00 UTC"), 24 * H)
    assert schedule.leads() == [50 * H, 26 * H]
    slots = list(islice(schedule.slots(utc("2026-11-20T00:00")), 3))
    assert [slot.at for slot in slots] == [utc(f"2026-11-{day}T06:00") for day in (20, 21, 22)]
    assert [slot.deadline for slot in slots] == [slot.at + 26 * H for slot in slots]


def test_a_rolling_grid_lies_in_utc_and_its_gaps_never_grow() -> None:
    schedule = schedule_of(THIRTY, None, 4 * H)
    slots = list(islice(schedule.slots(utc("2026-10-24T21:30")), 8))
    assert slots[0].at == utc("2026-10-25T00:00")
    assert {later.at - slot.at for slot, later in pairwise(slots)} == {4 * H}
    assert all(slot.deadline == slot.at - 4 * H + 30 * H for slot in slots)
    assert str(schedule) == "submits every 4 h, each document answered within 30 h"


def test_an_interval_that_leaves_too_little_is_not_planned_with() -> None:
    assert schedule_of(THIRTY, None, 6 * H).interval == 4 * H
    assert schedule_of(THIRTY, None, 2 * H).interval == 2 * H


ZONES = ["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"]
minutes = st.times().map(lambda at: at.replace(second=0, microsecond=0))
moments = st.integers(0, 4 * 365 * 24 * 60).map(lambda count: utc("2025-01-01T00:00") + count * M)
reports = st.builds(
    ReportSchedule,
    terms=st.integers(26, 120).map(lambda hours: Terms(sla=hours * H)),
    due=st.builds(
        Due,
        times=st.lists(minutes, min_size=1, max_size=3).map(tuple),
        weekdays=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
        zone=st.sampled_from(ZONES),
    ),
    interval=st.sampled_from([1 * H, 4 * H, 6 * H, 24 * H]),
    most_slots=st.sampled_from([None, 1, 3]),
)


@given(reports, moments)
def test_every_slot_keeps_its_deadline_and_each_due_time_has_its_first_slot(
    schedule: ReportSchedule, start: datetime
) -> None:
    end = start + timedelta(days=14)
    slots = list(takewhile(lambda slot: slot.at < end, schedule.slots(start)))
    assert [slot.at for slot in slots] == sorted({slot.at for slot in slots})
    for slot in slots:
        assert start <= slot.at
        assert schedule.terms.minimum_sla - schedule.terms.overhead <= slot.deadline - slot.at <= schedule.terms.sla
        assert slot.at + schedule.terms.window <= cutoffs(schedule.terms, slot.deadline).cancel_at
    firsts = {
        deadline - schedule.terms.sla for deadline in takewhile(lambda at: at < end, due_times(schedule.due, start))
    }
    assert {first for first in firsts if first >= start} <= {slot.at for slot in slots}


def test_how_many_runs_overlap_is_found_by_sweeping_the_slots() -> None:
    slots = takewhile(
        lambda slot: slot.at < utc("2026-12-20T00:00"),
        schedule_of(THIRTY, WEEKDAYS, 4 * H).slots(utc("2026-12-01T00:00")),
    )
    assert most_at_once((slot.at, slot.deadline) for slot in slots) == 4
    rolling = islice(RollingSchedule(THIRTY, 4 * H).slots(utc("2026-12-01T00:00")), 60)
    assert most_at_once((slot.at, slot.deadline) for slot in rolling) == 7
