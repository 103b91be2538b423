"""A schedule as plain values, by which one process tells another of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from backcast.domain.schedule import DAYS, Due, ReportSchedule, RollingSchedule, parse_due
from backcast.domain.sla import Terms

if TYPE_CHECKING:
    from backcast.domain.schedule import Schedule

Data: TypeAlias = Mapping[str, Any]


def schedule_data(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as text and numbers; durations are in seconds, by the names of `Terms`."""
    data: dict[str, Any] = {name: length.total_seconds() for name, length in asdict(schedule.terms).items()}
    data["interval"] = schedule.interval.total_seconds()
    if isinstance(schedule, ReportSchedule):
        return data | {"due": _due_text(schedule.due), "most_slots": schedule.most_slots}
    return data | {"due": None, "most_slots": None}


def schedule_from(data: Data) -> Schedule:
    """Return the schedule that `schedule_data` told of.

    Raises:
        KeyError: a value is missing.
        ValueError: a value cannot be.
    """
    terms = Terms(**{name: timedelta(seconds=data[name]) for name in Terms.__slots__})
    interval = timedelta(seconds=data["interval"])
    if data["due"] is None:
        return RollingSchedule(terms, interval)
    return ReportSchedule(terms, parse_due(data["due"]), interval, data["most_slots"])


def _due_text(due: Due) -> str:
    days = ",".join(DAYS[day] for day in due.weekdays)
    times = ",".join(f"{at:%H:%M}" for at in due.times)
    return f"{days} {times} {due.zone}"
