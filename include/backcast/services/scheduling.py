"""When a workflow submits, as its file says: for Airflow, which must also be told why it has no schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backcast.domain.errors import InputError
from backcast.domain.schedule import Slot
from backcast.domain.slots import deadline_of_slot, is_last, start_by
from backcast.services.planning import plan_ahead
from backcast.services.routing import require_batch
from backcast.settings import load_workflow, schedules_on

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backcast.domain.plan import Plan
    from backcast.domain.schedule import Schedule

# Always the same, so that whatever is derived from the plan is the same at each parse of a DAG file.
_ANY_MONDAY: Final = datetime(2026, 1, 5, tzinfo=UTC)
# Beside those of the schedule: runs triggered by hand, and one that is late or stands across a change of clocks.
_MORE_AT_ONCE: Final = 4
_BY_HAND_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Scheduling:
    """What Airflow is told.

    Attributes:
        schedule: when it submits; None when it does not by itself.
        why_not: why there is none, as a sentence; None when there is one.
        runs_at_once: how many runs may be open at the same time.
    """

    schedule: Schedule | None
    why_not: str | None
    runs_at_once: int


def scheduling_of(workflow: str) -> Scheduling:
    """Return when a workflow submits by itself. An SLA that cannot hold is no error, but has no schedule.

    A DAG with an error is stale: Airflow would stop to work on its runs, whose batches are paid for.
    """
    try:
        if not schedules_on():
            return _none("Schedules are switched off by `BACKCAST_SCHEDULES=false`.")
        plan = _plan(workflow)
    except InputError as error:
        return _none(str(error))
    if plan is None:
        return _none("Its `workflow.yaml` names neither `due` nor `every`.")
    return Scheduling(plan.schedule, None, plan.runs_at_once + _MORE_AT_ONCE)


def why_broken(workflow: str) -> str | None:
    """Return why no run of a workflow can be submitted as a batch: its file is wrong, or it is not for batches."""
    try:
        require_batch(workflow)
    except InputError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True)
class RunOfSlot:
    """What the run of a slot must keep to.

    Attributes:
        slot: when it submits, and when it is due.
        start_by: the last moment at which it may start.
        interim: a later slot's run makes the report that is due.
    """

    slot: Slot
    start_by: datetime
    interim: bool


def starts_by_itself(declared: Mapping[str, Any]) -> bool:
    """Whether a workflow, as its file declares it, has a schedule; else it is started by hand."""
    return "due" in declared or "every" in declared


def slot_of(workflow: str, at: datetime) -> RunOfSlot | None:
    """Return what the run of the slot at this moment must keep to; None when the workflow has no slot then."""
    try:
        plan = _plan(workflow)
    except InputError:
        # Its SLA cannot hold any more; the run is one like those that are started by hand.
        return None
    deadline = deadline_of_slot(plan.schedule, at) if plan else None
    if plan is None or deadline is None:
        return None
    slot = Slot(at, deadline)
    return RunOfSlot(slot, start_by(plan.schedule, slot), interim=not is_last(plan.schedule, slot))


def _none(why: str) -> Scheduling:
    return Scheduling(None, why, _BY_HAND_AT_ONCE)


def _plan(workflow: str) -> Plan | None:
    declared = load_workflow(workflow)
    if not starts_by_itself(declared):
        return None
    return plan_ahead(workflow, {}, _ANY_MONDAY).plan
