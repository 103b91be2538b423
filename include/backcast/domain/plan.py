"""What a schedule promises, said before anything is paid: slots, cut-offs, worst case, and whether it is guaranteed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

from backcast.domain.capacity import Demand, Rate, Work, batches_to_split_into, drain, faster_by
from backcast.domain.schedule import Due, Schedule, schedule_of
from backcast.domain.sla import (
    SHORTEST_INTERVAL,
    Cutoffs,
    Step,
    Terms,
    cutoffs,
    missing_reserve,
    most_at_once,
    require_feasible,
    whole_rounds,
    with_hoped_window,
    worst_case,
)

HORIZON: Final = timedelta(days=7)
# Runs are alike, so that more of them would tell no more.
_RUNS_WEIGHED: Final = 48


@dataclass(frozen=True, slots=True)
class Wish:
    """What a plan is asked for.

    Attributes:
        sla: how long a run may take.
        window: how long the API may take for a batch.
        work: what one report has to ask for, or one interval of a rolling intake.
        rate: what may be asked synchronously.
        due: when a report is due; None for a rolling intake.
        every: how far apart slots are wished to be; None: as far as is safe.
        most_slots: at most so many slots before each due time.
        opportunistic: a batch is tried for as long as there is, when the SLA is too short for a whole window.
    """

    sla: timedelta
    window: timedelta
    work: Work
    rate: Rate
    due: Due | None = None
    every: timedelta | None = None
    most_slots: int | None = None
    opportunistic: bool = False


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run to come, with its last moments."""

    at: datetime
    cutoffs: Cutoffs


@dataclass(frozen=True, slots=True)
class Plan:
    """What a wish comes to.

    Attributes:
        terms: the SLA, with the time that answering everything synchronously takes as its drain.
        schedule: when it submits.
        runs: those of the next `HORIZON`.
        worst: what happens to the last run of the first report when nothing of its batch comes.
        missing: how much of the reserve the wished interval would use up.
        runs_at_once: how many runs are open at the same time at most.
        rounds: how many rounds have a whole window.
        batches: in how many batches a run is sent, so that it can be canceled in parts.
        faster_by: how many times as fast synchronous answers must come for the worst case to be in time; 1 when they
            are fast enough, None when no rate is.
    """

    terms: Terms
    schedule: Schedule
    runs: tuple[PlannedRun, ...]
    worst: tuple[Step, ...]
    missing: timedelta
    runs_at_once: int
    rounds: int
    batches: int
    faster_by: float | None

    @property
    def guaranteed(self) -> bool:
        """Whether every document is answered in time even when nothing of any batch comes."""
        return self.faster_by == 1


def make_plan(wish: Wish, now: datetime) -> Plan:
    """Return the plan for a wish.

    Raises:
        SlaError: the SLA cannot hold, whatever is done; the message names the smallest that can.
    """
    terms = Terms(wish.sla, wish.window, drain(wish.work, wish.rate))
    if wish.opportunistic:
        terms = with_hoped_window(terms)
    waits = timedelta() if wish.due or wish.opportunistic else SHORTEST_INTERVAL
    require_feasible(terms, waits)
    # What does not fit is rescued in parts, as far as it can be.
    fitting = terms if terms.sla >= terms.minimum_sla + waits else terms.with_drain(timedelta())
    # What is only tried is tried as early as it may be; a later slot would have less time.
    most_slots = wish.most_slots or (1 if terms.window < wish.window else None)
    schedule = schedule_of(fitting, wish.due, wish.every, most_slots)
    slots = list(takewhile(lambda slot: slot.at < now + HORIZON, schedule.slots(now)))
    runs = tuple(PlannedRun(slot.at, cutoffs(fitting, slot.deadline)) for slot in slots)
    served = [run for run in runs if run.cutoffs.deadline == runs[0].cutoffs.deadline]
    last = served[-1]
    # Whatever is hoped for, the API promises nothing before its own window ends.
    promised = replace(fitting, window=wish.window)
    return Plan(
        terms=terms,
        schedule=schedule,
        runs=runs,
        worst=tuple(worst_case(promised, last.at, last.cutoffs.deadline)),
        missing=missing_reserve(terms, wish.every) if wish.every else timedelta(),
        runs_at_once=most_at_once((run.at, run.cutoffs.deadline) for run in runs),
        rounds=whole_rounds(promised),
        batches=batches_to_split_into(terms.drain, terms.buffer),
        faster_by=faster_by(_demands(wish, terms, runs), wish.rate),
    )


def _demands(wish: Wish, terms: Terms, runs: tuple[PlannedRun, ...]) -> list[Demand]:
    """Return what must be answered synchronously when every batch takes its whole window and brings nothing."""
    first: dict[datetime, datetime] = {}
    for run in runs[:_RUNS_WEIGHED]:
        # All slots of one report together ask for each document once; every rolling run has a deadline of its own.
        first.setdefault(run.cutoffs.deadline, run.at)
    return [
        Demand(at + terms.window + terms.overhead + terms.settle, deadline - terms.publish - terms.margin, wish.work)
        for deadline, at in first.items()
    ]
