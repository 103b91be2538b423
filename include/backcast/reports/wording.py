"""Times, money and numbers as a report writes them."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

_CENT = Decimal("0.01")
_HUNDREDTH_CENT = Decimal("0.0001")


def utc(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second: 2026-05-01T06:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(moment: datetime) -> str:
    """The date in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d")


def usd(amount: Decimal) -> str:
    """US dollars: cents from a dollar on, below it hundredths of a cent."""
    if amount < 0:
        return f"-{usd(-amount)}"
    if amount == 0:
        return "$0.00"
    if amount < _HUNDREDTH_CENT:
        return "under $0.0001"
    return f"${amount.quantize(_CENT if amount >= 1 else _HUNDREDTH_CENT):,}"


def percent(part: Decimal | int, whole: Decimal | int) -> str:
    """A share in whole per cent."""
    return f"{part / whole:.0%}" if whole else "0%"


def share(part: float) -> str:
    """A share in per cent, with a tenth where it has one: 90%, 66.7%."""
    return f"{round(part * 100, 1):g}%"


def seconds(value: float | None) -> str:
    """A number of seconds with a tenth: 2.5; a dash when there is none."""
    return "\N{EN DASH}" if value is None else f"{value:.1f}"


def number(value: int) -> str:
    """A whole number with its thousands set off."""
    return f"{value:,}"


def count(value: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: 1 request, 2 requests."""
    return f"{number(value)} {noun if value == 1 else plural or noun + 's'}"


# SLAs are told in hours: 29 h 50 min says more of one of 30 h than 1 d 5 h does.
_HOURS_THAT_ARE_DAYS = 48


def duration(span: timedelta) -> str:
    """A length of time in its two largest units: 3 d 4 h, 29 h 12 min, 40 s."""
    seconds = int(abs(span.total_seconds()))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days = 0
    if hours >= _HOURS_THAT_ARE_DAYS:
        days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    first = next((index for index, (value, _) in enumerate(units) if value), len(units) - 1)
    return " ".join(f"{value} {unit}" for value, unit in units[first : first + 2] if value) or "0 s"
