"""When a DAG run is due, also one by hand: told to the run itself and to Airflow's Deadline Alerts."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk.definitions.deadline import BaseDeadlineReference

from backcast.domain.deadlines import AT_RISK_BEFORE, DeadlineKind, names_zone, parse_deadline, require_reachable
from backcast.domain.errors import InputError
from backcast.domain.sampling import LetPass
from backcast.domain.schedule_data import schedule_data, schedule_from
from backcast.domain.slots import deadline_of_slot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk.definitions.deadline import DeadlineAlert
    from airflow.sdk.types import DagRunProtocol as DagRun
    from sqlalchemy.orm import Session

    from backcast.domain.workflow import RunSettings

_log = logging.getLogger(__name__)
# The types of runs that Airflow makes for a slot.
BY_SCHEDULE: Final = frozenset({"scheduled", "backfill"})


class BackcastDeadline(BaseDeadlineReference):
    """The deadline of a run: that of its slot, or the one it was triggered with, or its SLA after it was triggered.

    Args:
        sla: how long a run by hand may take, in seconds.
        schedule: as `schedule_data` tells it; None when the workflow has none.
    """

    required_kwargs: Final = frozenset({"dag_id", "run_id"})

    def __init__(self, sla: float = 0, schedule: Mapping[str, Any] | None = None) -> None:
        self.sla, self.schedule = sla, schedule

    def serialize_reference(self) -> dict[str, Any]:
        """Return what another process needs to evaluate it."""
        return super().serialize_reference() | {"sla": self.sla, "schedule": self.schedule}

    @classmethod
    def deserialize_reference(cls, reference_data: dict[str, Any]) -> BackcastDeadline:
        """Return the reference that `serialize_reference` told of."""
        return cls(reference_data["sla"], reference_data["schedule"])

    def __hash__(self) -> int:
        return hash((self.sla, str(self.schedule)))

    def _evaluate_with(self, *, session: Session, dag_id: str, run_id: str) -> datetime | None:
        from airflow.models import DagRun
        from sqlalchemy import select

        found = session.execute(
            select(DagRun.run_type, DagRun.logical_date, DagRun.run_after, DagRun.conf).where(
                DagRun.dag_id == dag_id, DagRun.run_id == run_id
            )
        ).one_or_none()
        return self.deadline_of(*found) if found else None

    def deadline_of(
        self, run_type: str, logical_date: datetime | None, run_after: datetime, conf: Mapping[str, Any] | None
    ) -> datetime | None:
        """Return when a DAG run is due; never fails, since that would fail the creation of the run.

        None for a run by hand whose deadline `open_run` refuses at once, so that nothing is owed.
        """
        if logical_date and run_type in BY_SCHEDULE and (due := self._of_slot(logical_date)):
            return due
        written = (conf or {}).get("deadline")
        return _named(str(written), run_after) if written else run_after + timedelta(seconds=self.sla)

    def _of_slot(self, logical_date: datetime) -> datetime | None:
        try:
            return deadline_of_slot(schedule_from(self.schedule or {}), logical_date)
        except (KeyError, TypeError, ValueError):
            # Without a schedule, or told by another version.
            return None


def _named(written: str, triggered_at: datetime) -> datetime | None:
    try:
        deadline = parse_deadline(written)
        require_reachable(deadline, triggered_at)
    except InputError:
        return None
    return deadline


def deadline_alerts(workflow: str) -> list[DeadlineAlert]:
    """Return what a DAG file gives as `deadline`: an alert when the report is at risk, and one when it is missed."""
    from airflow.sdk.definitions.callback import AsyncCallback
    from airflow.sdk.definitions.deadline import DeadlineAlert

    from backcast.orchestration.alerting import alert
    from backcast.services.scheduling import scheduling_of
    from backcast.settings import workflow_sla

    try:
        sla = workflow_sla(workflow)
    except InputError:
        # `open_run` refuses it, and says what to write; a DAG file with an error would strand the runs that are open.
        return []
    schedule = scheduling_of(workflow).schedule
    reference = BackcastDeadline(sla.total_seconds(), schedule_data(schedule) if schedule else None)
    before = {DeadlineKind.AT_RISK: -AT_RISK_BEFORE, DeadlineKind.MISSED: timedelta()}
    return [
        DeadlineAlert(
            reference, interval, AsyncCallback(alert, kwargs={"kind": kind.value}), name=kind.value.replace("_", " ")
        )
        for kind, interval in before.items()
    ]


def settings_in_time(workflow: str, dag_run: DagRun, params: Mapping[str, Any]) -> tuple[RunSettings, datetime | None]:
    """Return the settings of a DAG run with its deadline, and until when it may be opened; None when that is open.

    Raises:
        InputError: a value cannot be used; the message names it.
    """
    from backcast.services.scheduling import slot_of
    from backcast.settings import run_settings, schedules_on

    settings = run_settings(workflow, params)
    if why := str(params.get("let_pass") or "").strip():
        settings = replace(settings, let_pass=LetPass(by=dag_run.triggering_user_name or "unknown", why=why))
    at = dag_run.logical_date if dag_run.run_type in BY_SCHEDULE else None
    found = slot_of(workflow, at) if at else None
    if found:
        start_by = found.start_by
        if not schedules_on():
            # Airflow had made the run, or stored its slot, while they were on.
            _log.warning("BACKCAST_SCHEDULES is false: the run of a slot is not opened any more.")
            start_by = found.slot.at
        return replace(settings, deadline=found.slot.deadline, interim=found.interim), start_by
    written = params.get("deadline")
    if written and not names_zone(str(written)):
        _log.warning("The deadline %s names no time zone: it is taken as UTC.", written)
    return settings, None
