"""What batch DAGs are declared with and go through, so that a DAG file only names its workflow."""

from __future__ import annotations

from typing import Any

from airflow.sdk import chain

from backcast.orchestration.deadlines import deadline_alerts
from backcast.orchestration.form import batch_params, default_args, documentation
from backcast.orchestration.tasks import (
    a_round,
    check_findings,
    collect,
    gate,
    inherited,
    open_run,
    publish,
    rescue,
    rescue_inherited,
    resubmit_failures,
    run_last_tests,
    run_proposed_tests,
)
from backcast.orchestration.timetable import runs_at_once, schedule_for
from backcast.services.routing import has_checks
from backcast.services.scheduling import why_broken
from backcast.settings import load_workflow


def batch_dag(workflow: str) -> dict[str, Any]:
    """Return the arguments of Airflow's `DAG` for a workflow: its id is the workflow's name.

    That of a workflow which cannot be used has no schedule, says why on its page, and is tagged `broken`. With an error
    in its place, Airflow would stop to work on its runs, whose batches are paid for.
    """
    broken = why_broken(workflow)
    return {
        "dag_id": workflow,
        "schedule": schedule_for(workflow),
        "catchup": False,
        "max_active_runs": runs_at_once(workflow),
        "deadline": deadline_alerts(workflow),
        "default_args": default_args(0 if broken else load_workflow(workflow).get("priority", 0)),
        "params": batch_params(None if broken else workflow),
        "tags": ["backcast", "batch", *(["broken"] if broken else [])],
        "doc_md": documentation(workflow),
    }


def batch_stages(workflow: str) -> None:
    """Put the stages of a workflow's runs into the DAG that is being defined."""
    run = open_run(workflow)
    collected = collect(run)
    last = rescue_inherited(run)
    tested = not why_broken(workflow) and "tests" in load_workflow(workflow)
    chain(
        run,
        collected,
        gate(run),
        a_round(run, 1),
        *([run_proposed_tests(run)] if tested else []),
        resubmit_failures(run, 2),
        a_round(run, 2),
        rescue(run),
        last,
        *([run_last_tests(run)] if tested else []),
        *([check_findings(run)] if has_checks(workflow) else []),
        publish(workflow, run),
    )
    collected >> inherited(run) >> last
