"""Simulated time: real time at a speed, or time that a test moves by hand."""

from __future__ import annotations

import datetime as dt
import time
from typing import Protocol


class Clock(Protocol):
    """Anything that says what time it is in the simulation."""

    def now(self) -> dt.datetime:
        """The simulated time, in UTC."""
        ...


class RunningClock:
    """Starts at the real time and runs `speed` times as fast: at 240 a day passes in six minutes."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._start = dt.datetime.now(dt.UTC)
        self._monotonic_start = time.monotonic()

    def now(self) -> dt.datetime:
        """The simulated time, in UTC."""
        elapsed = (time.monotonic() - self._monotonic_start) * self.speed
        return self._start + dt.timedelta(seconds=elapsed)


class SteppedClock:
    """Stands still until `advance` is called."""

    def __init__(self, start: dt.datetime) -> None:
        self._now = start

    def now(self) -> dt.datetime:
        """The simulated time, in UTC."""
        return self._now

    def advance(self, step: dt.timedelta) -> None:
        """Move the time on by `step`."""
        self._now += step
