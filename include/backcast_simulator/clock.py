"""Simulated time: real time at a speed, or time that a test moves by hand."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any, Protocol


class Clock(Protocol):
    """Anything that says what time it is in the simulation."""

    def now(self) -> dt.datetime:
        """The simulated time, in UTC."""
        ...

    def advance(self, step: dt.timedelta) -> None:
        """Move the time on by `step`."""
        ...

    def kept(self) -> dict[str, Any]:
        """What `resumed_at` needs, as JSON."""
        ...


class RunningClock:
    """Starts at `start`, or the real time, and runs `speed` times as fast: at 240 a day passes in six minutes."""

    def __init__(self, speed: float = 1.0, start: dt.datetime | None = None) -> None:
        self.speed = speed
        self._start = start or dt.datetime.now(dt.UTC)
        self._monotonic_start = time.monotonic()

    def now(self) -> dt.datetime:
        """The simulated time, in UTC."""
        elapsed = (time.monotonic() - self._monotonic_start) * self.speed
        return self._start + dt.timedelta(seconds=elapsed)

    def advance(self, step: dt.timedelta) -> None:
        """Move the time on by `step`, beside its running."""
        self._start += step

    def kept(self) -> dict[str, Any]:
        """What `resumed_at` needs, as JSON."""
        return {"now": self.now().isoformat(), "real": dt.datetime.now(dt.UTC).isoformat(), "speed": self.speed}


class SteppedClock:
    """Stands still at `start`, or the real time, until `advance` is called."""

    def __init__(self, start: dt.datetime | None = None) -> None:
        self._now = start or dt.datetime.now(dt.UTC)

    def now(self) -> dt.datetime:
        """The simulated time, in UTC."""
        return self._now

    def advance(self, step: dt.timedelta) -> None:
        """Move the time on by `step`."""
        self._now += step

    def kept(self) -> dict[str, Any]:
        """What `resumed_at` needs, as JSON."""
        return {"now": self._now.isoformat(), "real": dt.datetime.now(dt.UTC).isoformat(), "speed": 0.0}


def resumed_at(kept: dict[str, Any]) -> dt.datetime:
    """The time that a kept clock shows by now: it went on at its speed while no simulator ran."""
    real = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(kept["real"])
    elapsed: dt.timedelta = real * kept["speed"]
    return dt.datetime.fromisoformat(kept["now"]) + elapsed
