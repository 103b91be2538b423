"""Synchronous capacity: how long answering takes, whether all of it fits, and what may be canceled to be answered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What is canceled at a time of a run that is too large to be canceled whole.
SHARE: Final = timedelta(hours=2)
MOST_BATCHES: Final = 32
# Calls under way at once, of which a killed process loses all.
MOST_AT_ONCE: Final = 1_000
_FASTEST: Final = 1e6
_STEPS: Final = 60


@dataclass(frozen=True, slots=True)
class Work:
    """Requests that may have to be answered synchronously, with their tokens, input and output together."""

    requests: int
    tokens: int

    def __add__(self, other: Work) -> Work:
        return Work(self.requests + other.requests, self.tokens + other.tokens)


NO_WORK: Final = Work(0, 0)


@dataclass(frozen=True, slots=True)
class Rate:
    """What the API may be asked synchronously: requests and tokens a minute, and how long one may take.

    A request may be tried `attempts` times, each for `longest_call`; that is added once, since they run side by side.
    """

    requests_per_minute: float = 50
    tokens_per_minute: float = 100_000
    attempts: int = 2
    longest_call: timedelta = timedelta(minutes=2)

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute", "attempts"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name.replace('_', ' ')} must be above 0, not {getattr(self, name)}.")
        if self.longest_call <= timedelta():
            raise ValueError(f"A call must be allowed some time, not {self.longest_call}.")

    @property
    def at_once(self) -> int:
        """How many calls are under way at once, so that the rate is reached though each takes as long as it may.

        Above 500 requests a minute it is reached when calls take less than that.
        """
        minutes = self.longest_call / timedelta(minutes=1)
        return max(1, min(MOST_AT_ONCE, math.ceil(self.requests_per_minute * minutes)))

    def times(self, factor: float) -> Rate:
        """Return a rate so many times as fast; a single call takes as long."""
        return Rate(
            self.requests_per_minute * factor, self.tokens_per_minute * factor, self.attempts, self.longest_call
        )


def drain(work: Work, rate: Rate) -> timedelta:
    """Return how long it takes to answer all of this synchronously; nothing takes no time."""
    if not work.requests:
        return timedelta()
    return flow(work, rate) + rate.attempts * rate.longest_call


def flow(work: Work, rate: Rate) -> timedelta:
    """Return how long it takes to ask for all of this, without the wait for the last answers."""
    return timedelta(minutes=max(work.requests / rate.requests_per_minute, work.tokens / rate.tokens_per_minute))


def batches_to_split_into(drained_in: timedelta, buffer: timedelta) -> int:
    """Return how many batches a run needs so that it can be canceled in parts; one when it can be rescued whole."""
    if drained_in <= buffer:
        return 1
    return max(1, min(MOST_BATCHES, math.ceil(drained_in / SHARE)))


@dataclass(frozen=True, slots=True)
class Demand:
    """Work that may have to be answered between a release and a due time, both in UTC."""

    release: datetime
    due: datetime
    work: Work


def fits(demands: Sequence[Demand], rate: Rate) -> bool:
    """Whether one stream of synchronous requests can answer all demands in time, the earliest due first.

    For all t and d: what is released from t on and due by d fits between them.
    """
    by_due = sorted(demands, key=lambda demand: demand.due)
    for start in {demand.release for demand in demands}:
        work = NO_WORK
        for demand in by_due:
            if demand.release >= start:
                work += demand.work
                if drain(work, rate) > demand.due - start:
                    return False
    return True


def faster_by(demands: Sequence[Demand], rate: Rate) -> float | None:
    """Return how many times as fast the rate must be for all demands to fit; None when no rate is enough."""
    if fits(demands, rate):
        return 1.0
    if not fits(demands, rate.times(_FASTEST)):
        return None
    slow, fast = 1.0, _FASTEST
    for _ in range(_STEPS):
        middle = math.sqrt(slow * fast)
        slow, fast = (slow, middle) if fits(demands, rate.times(middle)) else (middle, fast)
    return fast


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that has not ended: all of its requests count as open, since its counts are zero until then."""

    batch_id: int
    work: Work


def to_cancel(
    batches: Iterable[OpenBatch], rescuing: Work, rate: Rate, *, last_moment: bool, busy: timedelta = timedelta()
) -> list[int]:
    """Return which batches are canceled now, at or after the moment at which all open work just fits.

    Never more than can be drained: what is canceled and not answered yet stays within `SHARE`, or is a single batch.
    The smallest first, so that as many as possible may still end by themselves in the others.

    Args:
        batches: those that have not ended and are not being canceled.
        rescuing: what is canceled or failed, and not answered yet.
        rate: what the API may be asked synchronously.
        busy: for how long other runs, which are due no later, keep it busy.
        last_moment: results must be fetched now to be in time, so that everything is canceled for what it has finished.
    """
    ordered = sorted(batches, key=lambda batch: (batch.work.requests, batch.batch_id))
    if last_moment:
        return [batch.batch_id for batch in ordered]
    chosen = []
    for batch in ordered:
        together = rescuing + batch.work
        if (rescuing.requests or busy) and drain(together, rate) + busy > SHARE:
            break
        chosen.append(batch.batch_id)
        rescuing = together
    return chosen
