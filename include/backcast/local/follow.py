"""Triggers a run by Airflow's REST API and follows it to its end."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from backcast.domain.errors import BackcastError, InputError
from backcast.ledger.progress import RunProgress, read_progress
from backcast.local.airflow_api import UNFINISHED, TaskState
from backcast.local.display import Display, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backcast.local.airflow_api import AirflowApi
    from backcast.local.options import NightOptions
    from backcast.local.stack import Stack

DAG_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 1.0
_LOG_LINES: Final = 12

# In the order of how much they say about what is going on.
_ACTIVE: Final = ("running", "deferred", "queued", "up_for_retry", "restarting", "scheduled")
_STAGES: Final = {
    "open_run": "Opening the run",
    "collect": "Collecting documents",
    "plan_batches": "Planning batches",
    "submit": "Submitting",
    "wait": "Waiting for the API",
    "ingest": "Checking answers",
    "resubmit_failures": "Choosing what to send again",
    "rescue": "Answering what is left synchronously",
    "rescue_inherited": "Answering what other runs left synchronously",
    "publish": "Writing the report",
}


class Site(Protocol):
    """Where runs are followed."""

    @property
    def airflow(self) -> AirflowApi:
        """Airflow's REST API."""

    @property
    def ledger(self) -> str:
        """The DSN of the ledger that its tasks use."""

    @property
    def since(self) -> datetime:
        """What Airflow knows from before this moment may be stale."""

    def check(self) -> None:
        """Look whether everything runs.

        Raises:
            BackcastError: a part does not stay alive.
        """


def wait_for_dag(site: Site, dag_id: str) -> None:
    """Wait until Airflow has read the DAG from its file.

    Raises:
        BackcastError: the file cannot be read, or is not there.
    """
    deadline = time.monotonic() + DAG_SECONDS
    while not site.airflow.knows_dag(dag_id, site.since):
        site.check()
        for filename, traceback in site.airflow.import_errors(site.since):
            if filename.endswith(f"{dag_id}.py"):
                raise BackcastError(f"Airflow cannot read {filename}:\n{traceback}")
        if time.monotonic() > deadline:
            raise BackcastError(f"Airflow found no DAG {dag_id} in its DAG folder within {DAG_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS / 4)


def start_run(stack: Stack, options: NightOptions, repository: str) -> str:
    """Trigger a run, or take up the one to be resumed, and return its id.

    Raises:
        InputError: there is no such run to resume.
    """
    if options.resume is not None:
        return _resume(stack, options.dag_id, options.resume)
    # The name says which API it waits for; it is what a person types to resume it.
    dag_run_id = f"{stack.options.api}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    conf: dict[str, Any] = {"repository": repository, "ref": options.ref, "max_documents": options.max_documents}
    given = {name: value for name, value in conf.items() if value is not None}
    stack.airflow.trigger(options.dag_id, dag_run_id, given)
    return dag_run_id


def _resume(stack: Stack, dag_id: str, dag_run_id: str) -> str:
    state = stack.airflow.run_state(dag_id, dag_run_id)
    if state is None:
        open_runs = ", ".join(run for dag, run in stack.airflow.unfinished_runs() if dag == dag_id) or "none"
        raise InputError(f"there is no run {dag_run_id} of {dag_id} to resume; not finished yet: {open_runs}")
    if state == "failed":
        # The ledger knows what was sent: nothing is sent a second time.
        stack.airflow.clear_failed(dag_id, dag_run_id)
    return dag_run_id


def follow(site: Site, dag_id: str, dag_run_id: str, display: Display) -> tuple[str, RunProgress | None]:
    """Show the run until it ends; return how it ended, and how the ledger stands.

    Raises:
        BackcastError: a part of the stack does not stay alive.
    """
    current = "Waiting for Airflow's scheduler"
    while True:
        state = site.airflow.run_state(dag_id, dag_run_id)
        progress = read_progress(site.ledger, external_key(dag_id, dag_run_id))
        if state not in UNFINISHED:
            return str(state), progress
        site.check()
        # Between two tasks there is none: then the last one is still what a person wants to see.
        current = stage(site.airflow.tasks(dag_id, dag_run_id)) or current
        display.show(view(current, progress, datetime.now(UTC)))
        time.sleep(_POLL_SECONDS)


def external_key(dag_id: str, dag_run_id: str) -> str:
    """Return the name by which the ledger knows a DAG run."""
    return f"{dag_id}/{dag_run_id}"


def view(current: str, progress: RunProgress | None, now: datetime) -> View:
    """Sum up stage and ledger for the eye."""
    if progress is None:
        return View(current)
    return View(
        current,
        batches=progress.batches,
        batches_ended=progress.batches_ended,
        requests=progress.requests,
        answered=progress.requests_answered,
        left=progress.deadline - now,
    )


def stage(tasks: Sequence[TaskState]) -> str | None:
    """Name what goes on: the most active of the tasks that are not finished, if there is one."""
    active = [task for task in tasks if task.state in _ACTIVE]
    if not active:
        return None
    task = min(active, key=lambda one: _ACTIVE.index(str(one.state)))
    group, _, name = task.task_id.rpartition(".")
    words = _STAGES.get(name, name)
    number = group.partition(".")[0].removeprefix("round_")
    round_name = f"Round {number}: {words[0].lower()}{words[1:]}" if number.isdigit() else words
    return round_name + (" (failed, will be tried again)" if task.state == "up_for_retry" else "")


def failures(site: Site, dag_id: str, dag_run_id: str) -> list[str]:
    """Return, for each failed task, its name and the last error lines of its log."""
    lines = []
    for task in site.airflow.tasks(dag_id, dag_run_id):
        if task.state == "failed":
            lines.append(f"Task {task.task_id} failed:")
            lines += [f"  {line}" for line in last_error(site.airflow.task_log(dag_id, dag_run_id, task))]
    return lines


def last_error(log: Sequence[str]) -> list[str]:
    """Return the lines of the last error in a log, or its end if it holds none."""
    starts = [index for index, line in enumerate(log) if line.startswith(("error", "critical"))]
    lines = [line for line in log[starts[-1] if starts else 0 :] if "::group" not in line and "::endgroup" not in line]
    return lines[:_LOG_LINES] if starts else lines[-_LOG_LINES:]
