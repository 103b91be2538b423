"""Deadlines that a person writes, and the moments at which one is at risk and missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from backcast.domain.durations import told
from backcast.domain.errors import InputError
from backcast.domain.sla import DAY, LONGEST_SLA, Terms, cutoffs

SHORTEST_NOTICE: Final = timedelta(minutes=10)
_LIKE: Final = "write it like 2026-11-27T08:00+01:00, or leave it empty"
_ANY_TERMS: Final = Terms(sla=DAY)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# When nothing is left to answer, what has not been read by then cannot be in the report in time.
AT_RISK_BEFORE: Final = _EPOCH - cutoffs(_ANY_TERMS, _EPOCH).fetch_at


class DeadlineKind(StrEnum):
    """What an alert says of a run's deadline."""

    AT_RISK = "deadline_at_risk"
    MISSED = "deadline_missed"


def alerts_at(deadline: datetime) -> dict[DeadlineKind, datetime]:
    """Return from when on each kind of alert is due for a run that has not published; the gravest last."""
    return {DeadlineKind.AT_RISK: deadline - AT_RISK_BEFORE, DeadlineKind.MISSED: deadline}


def parse_deadline(text: str) -> datetime:
    """Return the moment that is meant, in UTC; a time without a zone is taken as UTC.

    Raises:
        InputError: it is no date and time.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(f"The deadline {text!r} is no date and time: {_LIKE}.") from None
    if len(text.strip()) <= len("2026-11-27"):
        raise InputError(f"The deadline {text!r} names no time of day: {_LIKE}.")
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise InputError(f"The deadline {text!r} is out of reach: {_LIKE}.") from None


def names_zone(text: str) -> bool:
    """Whether a deadline that can be read names its time zone."""
    return datetime.fromisoformat(text.strip()).tzinfo is not None


def require_reachable(deadline: datetime, now: datetime) -> None:
    """Refuse a deadline that no run opened now could be meant for.

    Raises:
        InputError: it is past, sooner than `SHORTEST_NOTICE`, or later than results are kept.
    """
    shown = f"{deadline:%Y-%m-%d %H:%M} UTC"
    if deadline <= now:
        raise InputError(f"The deadline {shown} is past: write one after {_shown(now + SHORTEST_NOTICE)}.")
    if deadline < now + SHORTEST_NOTICE:
        raise InputError(
            f"The deadline {shown} is less than {told(SHORTEST_NOTICE)} away, which is not even enough to write a "
            f"report: write one after {_shown(now + SHORTEST_NOTICE)}."
        )
    if deadline > now + LONGEST_SLA:
        raise InputError(
            f"The deadline {shown} is further away than results are kept: write one before {_shown(now + LONGEST_SLA)}."
        )


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M}Z"
