"""Reviews a git repository for technical debt every night, at batch price."""

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

WORKFLOW = "nightly_tech_debt"


@dag(schedule=schedule_for(WORKFLOW), **batch_dag(WORKFLOW))
def nightly_tech_debt() -> None:
    run = open_run(WORKFLOW)
    collected = collect(run)
    published = publish(WORKFLOW, run)
    last = rescue_inherited(run)
    run >> collected >> a_round(run, 1) >> resubmit_failures(run, 2) >> a_round(run, 2) >> rescue(run) >> last
    collected >> inherited(run) >> last >> published


nightly_tech_debt()
