"""When Airflow starts a workflow's runs: at the slots that its deadline leaves, and not once one has passed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

from backcast.domain.schedule_data import schedule_data, schedule_from
from backcast.domain.slots import next_slot
from backcast.services.scheduling import scheduling_of

if TYPE_CHECKING:
    from airflow.timetables.base import TimeRestriction

    from backcast.domain.schedule import Schedule


class BackcastTimetable(Timetable):
    """Starts a run at each slot of a schedule; the slot is the run's logical date, from which its deadline follows.

    A run whose slot has passed is made up for only while a batch is still certain to have its whole window, and only
    the last one, unless the DAG catches up.

    Args:
        schedule: when the workflow submits.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.description = str(schedule)

    @property
    def summary(self) -> str:
        """What it does, in words: `submits 30 h and 26 h before 08:00 Europe/Berlin`."""
        return str(self.schedule)

    def serialize(self) -> dict[str, Any]:
        """Return the schedule as text and numbers."""
        return schedule_data(self.schedule)

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> BackcastTimetable:
        """Return the timetable that `serialize` told of."""
        return cls(schedule_from(data))

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """Return the moment of the trigger: a run by hand is for no slot."""
        return DataInterval.exact(run_after)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next slot whose run may start."""
        slot = next_slot(
            self.schedule,
            datetime.now(UTC),
            after=last_automated_data_interval.end if last_automated_data_interval else None,
            earliest=restriction.earliest,
            latest=restriction.latest,
            catchup=restriction.catchup,
        )
        return DagRunInfo.exact(pendulum.instance(slot.at)) if slot else None


def schedule_for(workflow: str) -> BackcastTimetable | None:
    """Return what a DAG file gives as `schedule`: None when the workflow has none, which its documentation explains."""
    schedule = scheduling_of(workflow).schedule
    return BackcastTimetable(schedule) if schedule else None


def runs_at_once(workflow: str) -> int:
    """Return what a DAG file gives as `max_active_runs`: runs overlap, since an SLA is longer than a day."""
    return scheduling_of(workflow).runs_at_once
