"""Which slot a run is for, until when its run may still start, and which one is next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from backcast.domain.sla import cutoffs

if TYPE_CHECKING:
    from backcast.domain.schedule import Schedule, Slot

_JUST_AFTER: Final = timedelta(microseconds=1)


def deadline_of_slot(schedule: Schedule, at: datetime) -> datetime | None:
    """Return when the run of this slot is due; None when the schedule has no slot then, as after it was changed."""
    slot = next(schedule.slots(_plain(at)))
    return slot.deadline if slot.at == at else None


def is_last(schedule: Schedule, slot: Slot) -> bool:
    """Whether no later slot is owed to the same deadline, so that the run of this one makes the report."""
    return next(schedule.slots(_plain(slot.at) + _JUST_AFTER)).deadline != slot.deadline


def _plain(moment: datetime) -> datetime:
    # Airflow's moments are pendulum's, whose differences cannot be divided by a timedelta.
    utc = moment.astimezone(UTC)
    return datetime(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, UTC)


def lateness(schedule: Schedule) -> timedelta:
    """Return how late the run of any slot may start: what the overhead holds for collecting, and for one restart."""
    terms = schedule.terms
    return terms.overhead - terms.ingest - terms.publish


def start_by(schedule: Schedule, slot: Slot) -> datetime:
    """Return the last moment at which the run of a slot may start.

    Until then a batch is certain to have its whole window; a slot that lies close to that moment has its `lateness`.
    """
    return max(cutoffs(schedule.terms, slot.deadline).rebatch_until, slot.at + lateness(schedule))


def next_slot(  # noqa: PLR0913  what Airflow knows when it asks
    schedule: Schedule,
    now: datetime,
    *,
    after: datetime | None = None,
    earliest: datetime | None = None,
    latest: datetime | None = None,
    catchup: bool = False,
) -> Slot | None:
    """Return the slot whose run is next: the last one that passed and may still start, or the first one to come.

    Args:
        schedule: when the workflow submits.
        now: the time in UTC.
        after: the slot of the last run. Without one, as after a deployment, nothing is made up for that is older than
            the `lateness` of any run.
        earliest: no slot before it.
        latest: no slot after it; None is returned when there is no other.
        catchup: take the first slot that may still start instead of the last.
    """
    made_up_for = lateness(schedule) if after is None else schedule.terms.sla
    bounds = (now - made_up_for, after and after + _JUST_AFTER, earliest)
    start = max(_plain(bound) for bound in bounds if bound is not None)
    startable: Slot | None = None
    for slot in schedule.slots(start):
        if latest is not None and slot.at > latest:
            break
        if slot.at > now:
            return startable or slot
        if now <= start_by(schedule, slot):
            startable = slot
            if catchup:
                break
    return startable
