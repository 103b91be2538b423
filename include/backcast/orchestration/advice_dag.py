"""What the DAG that advises on dependencies is declared with, and its one task."""

from __future__ import annotations

import logging
from typing import Any, Final

from airflow.sdk import MultipleCronTriggerTimetable, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from backcast.domain.errors import InputError
from backcast.domain.schedule import crons_before
from backcast.orchestration.explaining import explained
from backcast.orchestration.form import answering_params, repository_param
from backcast.orchestration.recording import tell_ledger
from backcast.services.routing import route_of
from backcast.settings import declared_facts, schedules_on

WORKFLOW: Final = "dependency_advice"
_log = logging.getLogger(__name__)

_DOCUMENTATION: Final = """### Advice on dependencies

{why}

A model looks into one commit of the repository, by tools that read a file, search, and list the versions in lock files,
and then says what to do. They see tracked files of that commit only. Its turns, its money (`budget.run`) and its time
(`sla`) are bounded; when one of them runs out, the report says so, and the task fails.

The report lands in `reports/dependency_advice/` as Markdown and JSON; the task returns its folder. {when} A run that is
cleared asks, and pays, anew.
"""


def advice_dag() -> dict[str, Any]:
    """Return the arguments of Airflow's `DAG`. That of a workflow which cannot be used says why on its page."""
    try:
        why, when, schedule = route_of(WORKFLOW).why, *advice_schedule(WORKFLOW)
        broken = []
    except InputError as error:
        why, when, schedule, broken = f"**It cannot be used.** {error}", "It has no schedule.", None, ["broken"]
    return {
        "dag_id": WORKFLOW,
        "schedule": schedule,
        "catchup": False,
        "max_active_runs": 4,
        "default_args": {"owner": "backcast", "retries": 0},
        "params": advice_params(),
        "tags": ["backcast", "synchronous", *broken],
        "doc_md": _DOCUMENTATION.format(why=why, when=when),
    }


def advice_schedule(workflow: str) -> tuple[str, MultipleCronTriggerTimetable | None]:
    """Return when a synchronous workflow starts, so that it ends by its due times; first in a sentence.

    Raises:
        InputError: there is no such workflow, or its file is wrong.
    """
    facts = declared_facts(workflow)
    if not schedules_on():
        return "Schedules are switched off by `BACKCAST_SCHEDULES=false`.", None
    if facts.due is None:
        return "It has no schedule: its `workflow.yaml` names no `due`.", None
    crons = crons_before(facts.due, facts.sla)
    said = f"It starts by itself at `{'`, `'.join(crons)}` ({facts.due.zone}), to be there {facts.due}."
    return said, MultipleCronTriggerTimetable(*crons, timezone=facts.due.zone)


def advice_params() -> dict[str, Param]:
    """Return the form. What is left empty comes from the environment or from the workflow."""
    return {
        **repository_param(),
        "ref": Param(
            None,
            type=["null", "string"],
            title="Branch, tag or commit",
            description="What is looked into. Empty: BACKCAST_REF, or the workflow's own.",
        ),
        **answering_params("advises", "A turn that could come over it is not sent."),
    }


@task
@explained
def advise() -> str:
    """Ask for advice, write the report, tell the ledger, and fail when there is no answer."""
    from backcast.orchestration import clients
    from backcast.reports.advice import write_advice
    from backcast.services import advice
    from backcast.settings import cache_folder, load_workflow, reports_folder, run_settings

    settings = run_settings(WORKFLOW, dict(get_current_context()["params"]))
    tool_names = load_workflow(WORKFLOW).get("client_tools", ())
    advised = advice.advise(clients.api(), clients.now, settings, tool_names, cache=cache_folder())
    folder = write_advice(advised.report, reports_folder() / WORKFLOW, advised.opened_at)
    _log.info("%s", advised.report.told())
    _log.info("Report: %s", folder)
    tell_ledger(settings, advised, "advice")
    if advised.report.unanswered:
        raise AirflowFailException(f"There is no answer: {advised.report.unanswered}. {folder}")
    return str(folder)
