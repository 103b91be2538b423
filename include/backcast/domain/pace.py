"""How fast a process asks the API by itself: a minute's allowance at once, and then as it comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backcast.domain.capacity import Rate, Work

_MINUTE = 60


class Pace:
    """Says how long each request has to wait; those that ask first go first.

    Args:
        rate: requests and tokens a minute.
        at: the time, in seconds of a clock that only goes forward.
    """

    def __init__(self, rate: Rate, at: float) -> None:
        self._allowed = (rate.requests_per_minute, rate.tokens_per_minute)
        self._left = list(self._allowed)
        self._at = at

    def wait(self, work: Work, at: float) -> float:
        """Return the seconds to wait before this work may be asked for, which is then taken from the allowance.

        What is more than a minute allows has to wait until all of that is there.
        """
        passed, self._at = max(0.0, at - self._at), max(at, self._at)
        waits = [0.0]
        for index, (a_minute, amount) in enumerate(zip(self._allowed, (work.requests, work.tokens), strict=True)):
            left = min(a_minute, self._left[index] + passed * a_minute / _MINUTE) - min(amount, a_minute)
            self._left[index] = left
            waits.append(-left * _MINUTE / a_minute)
        return max(waits)
