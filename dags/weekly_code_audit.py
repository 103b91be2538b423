"""Audits a git repository for security, correctness and licences every week, at batch price."""

from __future__ import annotations

from airflow.sdk import dag

from backcast.orchestration.deadlines import deadline_alerts
from backcast.orchestration.form import batch_params, default_args, documentation
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
from backcast.orchestration.timetable import runs_at_once, schedule_for

WORKFLOW = "weekly_code_audit"


@dag(
    dag_id=WORKFLOW,
    schedule=schedule_for(WORKFLOW),
    catchup=False,
    max_active_runs=runs_at_once(WORKFLOW),
    deadline=deadline_alerts(WORKFLOW),
    default_args=default_args(),
    params=batch_params(),
    tags=["backcast", "batch"],
    doc_md=documentation(WORKFLOW),
)
def weekly_code_audit() -> None:
    run = open_run(WORKFLOW)
    collected = collect(run)
    published = publish(WORKFLOW, run)
    last = rescue_inherited(run)
    run >> collected >> a_round(run, 1) >> resubmit_failures(run, 2) >> a_round(run, 2) >> rescue(run) >> last
    collected >> inherited(run) >> last >> published


weekly_code_audit()
