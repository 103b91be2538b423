"""Calendar weeks, as ISO 8601 counts them, in a time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import pendulum

from backcast.domain.schedule import instant

_WEEK = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class Week:
    """A week by its name, 2026-W53, its Monday, and from when on until before when it is, in UTC."""

    name: str
    monday: date
    begins: datetime
    ends: datetime


def weeks_until(moment: datetime, zone: str, count: int) -> list[Week]:
    """Return so many weeks, the oldest first, of which the last holds a moment; an hour longer or shorter at DST."""
    local = pendulum.instance(moment).in_timezone(zone)
    last = date(local.year, local.month, local.day)
    last -= timedelta(days=last.weekday())
    return [_week(last - back * _WEEK, zone) for back in reversed(range(count))]


def _week(monday: date, zone: str) -> Week:
    year, number, _ = monday.isocalendar()
    begins, ends = (instant(day, time(), zone) for day in (monday, monday + _WEEK))
    return Week(f"{year}-W{number:02}", monday, begins, ends)
