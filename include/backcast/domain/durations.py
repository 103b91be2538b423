"""Durations as people write them: `30h`, `45m`, `2d`, `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta

_MINUTE = timedelta(minutes=1)
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION = re.compile(r"(?:\d+[dhms])+")
_PART = re.compile(r"(\d+)([dhms])")


def parse_duration(text: str) -> timedelta:
    """Return the elapsed time that the text names.

    Raises:
        ValueError: it is not of the form, is zero, or longer than any calendar.
    """
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration: write it like 30h, 45m, 2d or 1h30m.")
    try:
        duration = sum((timedelta(**{_UNITS[unit]: int(count)}) for count, unit in _PART.findall(text)), timedelta())
    except (OverflowError, ValueError):
        raise ValueError(f"{text!r} is too long a time: write it like 30h, 45m, 2d or 1h30m.") from None
    if not duration:
        raise ValueError(f"{text!r} is no time at all: write it like 30h, 45m, 2d or 1h30m.")
    return duration


def told(duration: timedelta) -> str:
    """Return a duration as people read it, rounded up to the minute: `30 h`, `1 h 21 min`, `-2 h`, `0 min`."""
    sign, hours, minutes = _parts(duration)
    return sign + " ".join([f"{hours} h"] * bool(hours) + [f"{minutes} min"] * (bool(minutes) or not hours))


def written(duration: timedelta) -> str:
    """Return a duration as `parse_duration` reads it, rounded up to the minute: `30h`, `1h21m`."""
    sign, hours, minutes = _parts(duration)
    return sign + f"{hours}h" * bool(hours) + f"{minutes}m" * (bool(minutes) or not hours)


def _parts(duration: timedelta) -> tuple[str, int, int]:
    minutes = -(-abs(duration) // _MINUTE)
    return "-" * (duration < timedelta()), *divmod(minutes, 60)
