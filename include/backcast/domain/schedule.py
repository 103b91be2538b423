"""Slots: when a workflow submits, computed backward from when its report is due, or on a grid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, TypeAlias
from zoneinfo import available_timezones

import pendulum
from pendulum.tz.exceptions import InvalidTimezone

from backcast.domain.durations import told
from backcast.domain.sla import Terms, choose_interval, cutoffs

if TYPE_CHECKING:
    from collections.abc import Iterator

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DUE = re.compile(
    r"(?:(?P<days>[A-Z][a-z]{2}(?:[-,][A-Z][a-z]{2})*) +)?"
    r"(?P<times>\d{1,2}:\d{2}(?:,\d{1,2}:\d{2})*)(?: +(?P<zone>\S+))?"
)
_MINUTES_A_DAY: Final = 24 * 60
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Due:
    """When a report is due: local times of a zone, on weekdays counted from Monday as 0."""

    times: tuple[time, ...]
    weekdays: tuple[int, ...]
    zone: str

    def __str__(self) -> str:
        times = ", ".join(f"{at:%H:%M}" for at in self.times)
        return " ".join(filter(None, (_told_days(self.weekdays), times, self.zone)))


def parse_due(text: str) -> Due:
    """Return what is meant by `08:00 Europe/Berlin`, `Mon-Fri 08:00 Europe/Berlin` or `Mon,Thu 06:30,18:00 UTC`.

    Raises:
        ValueError: it is not of that form; the message says what is wrong and what to write.
    """
    match = _DUE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} says no due time: write it like '08:00 Europe/Berlin' or 'Mon-Fri 08:00 UTC'.")
    zone = match["zone"] or "UTC"
    try:
        pendulum.timezone(zone)
    except (InvalidTimezone, ValueError):
        meant = "".join(f" Did you mean {known!r}?" for known in get_close_matches(zone, available_timezones(), n=1))
        raise ValueError(f"{zone!r} is no time zone: write one like Europe/Berlin or UTC.{meant}") from None
    return Due(_times(match["times"]), _weekdays(match["days"]), zone)


def _times(text: str) -> tuple[time, ...]:
    try:
        return tuple(sorted({time.fromisoformat(part.zfill(len("00:00"))) for part in text.split(",")}))
    except ValueError:
        raise ValueError(f"{text!r} is no time of day: write it like 08:00 or 06:30,18:00.") from None


def _weekdays(text: str | None) -> tuple[int, ...]:
    days: set[int] = set()
    for part in (text or "Mon-Sun").split(","):
        try:
            first, *rest = (DAYS.index(day) for day in part.split("-"))
            (last,) = rest or [first]
        except ValueError:
            raise ValueError(f"{part!r} is no weekday: write Mon, Tue, Wed, Thu, Fri, Sat, Sun, or Mon-Fri.") from None
        # Fri-Mon goes over the end of the week.
        days |= {day % len(DAYS) for day in range(first, last + 1 if last >= first else last + 1 + len(DAYS))}
    return tuple(sorted(days))


def _told_days(weekdays: tuple[int, ...]) -> str:
    if len(weekdays) == len(DAYS):
        return ""
    if len(weekdays) > 1 and weekdays[-1] - weekdays[0] == len(weekdays) - 1:
        return f"{DAYS[weekdays[0]]}-{DAYS[weekdays[-1]]}"
    return ",".join(DAYS[day] for day in weekdays)


def instant(day: date, at: time, zone: str) -> datetime:
    """Return the moment of a local time, in UTC.

    A time that a day has twice is its first occurrence; one that it lacks is shifted by the gap.
    """
    local = pendulum.datetime(day.year, day.month, day.day, at.hour, at.minute, tz=zone, fold=0)
    if (local.hour, local.minute) != (at.hour, at.minute):
        local = pendulum.datetime(day.year, day.month, day.day, at.hour, at.minute, tz=zone, fold=1)
    return datetime.fromtimestamp(local.timestamp(), UTC)


def due_times(due: Due, start: datetime) -> Iterator[datetime]:
    """Yield the moments from `start` on at which the report is due, in UTC, without end."""
    local = pendulum.instance(start).in_timezone(due.zone)
    # The day before, too: a shifted time may fall on the next day.
    day = date(local.year, local.month, local.day) - timedelta(days=1)
    while True:
        if day.weekday() in due.weekdays:
            moments = sorted({instant(day, at, due.zone) for at in due.times})
            yield from (moment for moment in moments if moment >= start)
        day += timedelta(days=1)


def crons_before(due: Due, lead: timedelta) -> list[str]:
    """Return cron expressions, in the zone of the due times, for so long before each of them by the clock there."""
    crons = []
    for at in due.times:
        minutes = at.hour * 60 + at.minute - -(-lead // timedelta(minutes=1))
        earlier, minute_of_day = divmod(minutes, _MINUTES_A_DAY)
        # In cron a week begins with Sunday.
        days = ",".join(str(day) for day in sorted((day + earlier + 1) % len(DAYS) for day in due.weekdays))
        every_day = len(due.weekdays) == len(DAYS)
        crons.append(f"{minute_of_day % 60} {minute_of_day // 60} * * {'*' if every_day else days}")
    return crons


@dataclass(frozen=True, slots=True)
class Slot:
    """A moment at which a run submits, and when that run is due; both in UTC."""

    at: datetime
    deadline: datetime


@dataclass(frozen=True, slots=True)
class ReportSchedule:
    """Submits before each due time: first a whole SLA before it, then every interval while a whole window fits.

    Attributes:
        terms: the SLA.
        due: when the report is due.
        interval: how far two slots of one due time are apart.
        most_slots: at most so many slots before each due time.
    """

    terms: Terms
    due: Due
    interval: timedelta
    most_slots: int | None = None

    def leads(self) -> list[timedelta]:
        """Return how long before a due time its slots are, the longest first."""
        latest = _EPOCH - cutoffs(self.terms, _EPOCH).rebatch_until
        leads = [self.terms.sla]
        while leads[-1] - self.interval >= latest:
            leads.append(leads[-1] - self.interval)
        return leads[: self.most_slots]

    def slots(self, start: datetime) -> Iterator[Slot]:
        """Yield the slots from `start` on, in order, without end; each is owed to the earliest report it can serve."""
        leads = self.leads()
        pending: dict[datetime, datetime] = {}
        for deadline in due_times(self.due, start):
            # What comes before any slot of this and of later due times is final.
            first = deadline - leads[0]
            for at in sorted(moment for moment in pending if moment < first):
                yield Slot(at, pending.pop(at))
            for lead in leads:
                if deadline - lead >= start:
                    pending.setdefault(deadline - lead, deadline)

    def __str__(self) -> str:
        leads = " and ".join(told(lead) for lead in self.leads())
        return f"submits {leads} before {self.due}"


@dataclass(frozen=True, slots=True)
class RollingSchedule:
    """Submits whatever arrived, on a grid in UTC: on a local one, the autumn change makes one gap an hour longer.

    A run's deadline is its earliest document's arrival plus the SLA: at worst, one interval before its slot.
    """

    terms: Terms
    interval: timedelta

    def slots(self, start: datetime) -> Iterator[Slot]:
        """Yield the slots from `start` on, in order, without end, each with the earliest deadline that it may have."""
        number = -((_EPOCH - start) // self.interval)
        at = _EPOCH + number * self.interval
        while True:
            if at >= start:
                yield Slot(at, at - self.interval + self.terms.sla)
            at += self.interval

    def __str__(self) -> str:
        return f"submits every {told(self.interval)}, each document answered within {told(self.terms.sla)}"


Schedule: TypeAlias = ReportSchedule | RollingSchedule


def schedule_of(terms: Terms, due: Due | None, every: timedelta | None, most_slots: int | None = None) -> Schedule:
    """Return the schedule for these terms; with an interval of its own choice when `every` is None or too long."""
    chosen = choose_interval(terms)
    wanted = every if every is not None and every <= terms.longest_interval else None
    interval = wanted or chosen or terms.sla
    if due is not None:
        return ReportSchedule(terms, due, interval, most_slots)
    return RollingSchedule(terms, interval)
