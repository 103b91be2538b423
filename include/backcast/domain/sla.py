"""The arithmetic of a deadline: what a window leaves, when to submit, and when to stop hoping for a batch.

All durations are elapsed time and all moments are in UTC; only when something is due is told in local time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from backcast.domain.durations import told, written

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY: Final = timedelta(days=1)
# So that a day has the same slots as the next one: whole hours first, then parts of an hour.
_INTERVALS: Final = [timedelta(hours=hours) for hours in (24, 12, 8, 6, 4, 3, 2, 1)] + [
    timedelta(minutes=minutes) for minutes in (30, 20, 15, 10, 5)
]
SHORTEST_INTERVAL: Final = _INTERVALS[-1]
LONGEST_SLA: Final = timedelta(days=28)


class SlaError(ValueError):
    """An SLA that cannot be: says what to write instead."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a deadline is computed from.

    Attributes:
        sla: how long a run may take.
        window: how long the API may take for a batch.
        drain: how long it takes to answer synchronously whatever may be open.
        overhead: collecting, submitting, ingesting, publishing and one restart.
        ingest: of the overhead, reading results.
        publish: of the overhead, writing the report.
        settle: how long a cancellation takes to have its effect; an assumption.
        margin: for what nobody thought of.
        min_batch_time: a batch that would be canceled sooner than this is not worth sending.
    """

    sla: timedelta
    window: timedelta = timedelta(hours=24)
    drain: timedelta = timedelta()
    overhead: timedelta = timedelta(minutes=30)
    ingest: timedelta = timedelta(minutes=5)
    publish: timedelta = timedelta(minutes=5)
    settle: timedelta = timedelta(minutes=10)
    margin: timedelta = timedelta(minutes=30)
    min_batch_time: timedelta = timedelta(minutes=20)

    def __post_init__(self) -> None:
        if self.window <= timedelta():
            raise SlaError(f"A window of {told(self.window)} is none: the API's is 24h.")
        if self.sla > LONGEST_SLA:
            raise SlaError(
                f"An SLA of {told(self.sla)} is longer than results are kept: write at most {written(LONGEST_SLA)}."
            )

    @property
    def buffer(self) -> timedelta:
        """What the window leaves of the SLA; negative when it leaves nothing."""
        return self.sla - self.window

    @property
    def reserve(self) -> timedelta:
        """What must be left of the buffer when a batch has taken its whole window."""
        return self.overhead + self.settle + self.drain + self.margin

    @property
    def longest_interval(self) -> timedelta:
        """How far apart two slots may be so that a document that just missed one is still answered in time."""
        return self.buffer - self.reserve

    @property
    def minimum_sla(self) -> timedelta:
        """The smallest SLA that holds even when every batch takes its whole window, for documents of one moment."""
        return self.window + self.reserve

    def with_drain(self, drain: timedelta) -> Terms:
        """Return these terms with another time to answer synchronously."""
        return replace(self, drain=drain)


def require_feasible(terms: Terms, interval: timedelta = timedelta()) -> None:
    """Refuse an SLA that no schedule can keep, however little there is to answer.

    Args:
        terms: the SLA.
        interval: how long a document may have to wait for its slot; none when everything is collected at the slot.

    Raises:
        SlaError: it cannot hold; the message names the smallest that can.
    """
    if terms.sla >= terms.with_drain(timedelta()).minimum_sla + interval:
        return
    parts = [
        (terms.window, "window"),
        (terms.overhead, "overhead"),
        (terms.settle, "settling"),
        (terms.margin, "margin"),
        (terms.drain, "to answer what is open"),
        (interval, "until the next slot"),
    ]
    smallest = terms.minimum_sla + interval
    summed = " + ".join(f"{told(length)} {what}" for length, what in parts if length)
    raise SlaError(
        f"An SLA of {told(terms.sla)} cannot hold: {summed} = {told(smallest)}. Write {written(smallest)} or more."
    )


def with_hoped_window(terms: Terms) -> Terms:
    """Return these terms with as much of the window as the SLA has room for, for a batch that is only tried.

    Raises:
        SlaError: what is left for it is not worth sending one.
    """
    if terms.sla >= terms.minimum_sla:
        return terms
    # What cannot all be answered synchronously in time is rescued in parts, as in any other run.
    for needed in (terms.reserve, terms.with_drain(timedelta()).reserve):
        # Every minute counts here, so that publishing is not counted among what may be used up before it.
        hoped = terms.sla - needed - terms.publish
        if hoped >= terms.min_batch_time:
            return replace(terms, window=min(terms.window, hoped))
    smallest = terms.with_drain(timedelta()).reserve + terms.publish + terms.min_batch_time
    raise SlaError(
        f"An SLA of {told(terms.sla)} leaves no time to try a batch. Write {written(smallest)} or more, or leave out "
        "`opportunistic`."
    )


def choose_interval(terms: Terms) -> timedelta | None:
    """Return the longest part of a day that leaves the reserve, or None when none does."""
    return next((interval for interval in _INTERVALS if interval <= terms.longest_interval), None)


def missing_reserve(terms: Terms, interval: timedelta) -> timedelta:
    """Return how much of the reserve two slots so far apart would use up; zero when it is left whole."""
    return max(timedelta(), interval - terms.longest_interval)


def whole_rounds(terms: Terms) -> int:
    """Return how many rounds have a whole window each, one after the other."""
    left = terms.sla - terms.settle - terms.drain - terms.margin
    return max(0, left // (terms.window + terms.overhead))


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """The last moments of a run.

    Attributes:
        deadline: when its outcome is due.
        cancel_at: when what has not ended must be canceled, so that it can be answered synchronously.
        rebatch_until: until when another batch is certain to suffice; it guides cost, not safety.
        batch_until: until when another batch is sent at all.
        fetch_at: the last moment at which results can still be fetched, of whatever batch.
    """

    deadline: datetime
    cancel_at: datetime
    rebatch_until: datetime
    batch_until: datetime
    fetch_at: datetime


def cutoffs(terms: Terms, deadline: datetime) -> Cutoffs:
    """Return the cut-offs of a run that is due, for the work that `terms.drain` stands for."""
    fetch_at = deadline - terms.publish - terms.ingest - terms.settle - terms.margin
    cancel_at = fetch_at - terms.drain
    return Cutoffs(
        deadline=deadline,
        cancel_at=cancel_at,
        rebatch_until=cancel_at - terms.window,
        batch_until=cancel_at - terms.min_batch_time,
        fetch_at=fetch_at,
    )


@dataclass(frozen=True, slots=True)
class Step:
    """What happens by when in the worst case, in which every batch takes its whole window."""

    at: datetime
    what: str


def worst_case(terms: Terms, submitted_at: datetime, deadline: datetime) -> list[Step]:
    """Return what happens when nothing of a batch comes before it is canceled or its window ends."""
    ends = min(cutoffs(terms, deadline).cancel_at, submitted_at + terms.window)
    settled = ends + terms.settle
    rescued = settled + terms.ingest + terms.drain
    return [
        Step(submitted_at, "submitted"),
        Step(ends, "the window ends" if ends == submitted_at + terms.window else "canceled"),
        Step(settled, "settled and read"),
        Step(rescued, "everything else answered synchronously"),
        Step(rescued + terms.publish, "published"),
        Step(deadline, "due"),
    ]


def most_at_once(spans: Iterable[tuple[datetime, datetime]]) -> int:
    """Return how many of these spans, from the one up to the other, overlap at most."""
    changes = sorted((moment, change) for start, end in spans for moment, change in ((start, 1), (end, -1)))
    running = most = 0
    for _, change in changes:
        running += change
        most = max(most, running)
    return most
