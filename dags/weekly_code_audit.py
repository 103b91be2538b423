"""Audits a git repository for security, correctness and licences every week, at batch price."""

from __future__ import annotations

from airflow.sdk import dag

from backcast.orchestration.batch_dag import batch_dag
from backcast.orchestration.tasks import (
    a_round,
    collect,
    inherited,
    open_run,
    publish,
    rescue,
    rescue_inherited,
    resubmit_failures,
)
from backcast.orchestration.timetable import schedule_for

WORKFLOW = "weekly_code_audit"


@dag(schedule=schedule_for(WORKFLOW), **batch_dag(WORKFLOW))
def weekly_code_audit() -> None:
    run = open_run(WORKFLOW)
    collected = collect(run)
    published = publish(WORKFLOW, run)
    last = rescue_inherited(run)
    run >> collected >> a_round(run, 1) >> resubmit_failures(run, 2) >> a_round(run, 2) >> rescue(run) >> last
    collected >> inherited(run) >> last >> published


weekly_code_audit()
