"""The tasks that batch DAGs are made of; each calls one service."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from airflow.sdk import Asset, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowFailException

from backcast.domain.errors import ApiError, BackcastError, LedgerError
from backcast.orchestration.sensor import BatchEndedSensor

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_R = TypeVar("_R")
_log = logging.getLogger(__name__)


def _explained(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let Airflow retry what may pass by itself, and fail at once what a person must mend."""

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except BackcastError as error:
            if _may_pass(error):
                raise
            raise AirflowFailException(str(error)) from error

    return call


def _may_pass(error: BackcastError) -> bool:
    # A refusal says so itself; an API or a ledger that is away may come back.
    return bool(getattr(error, "passing", isinstance(error, ApiError | LedgerError)))


def open_run(workflow: str) -> Any:
    """Open the ledger's run for this DAG run; its id is all that travels."""

    @task(task_id="open_run")
    @_explained
    def open_run_task() -> int:
        from backcast.orchestration import clients
        from backcast.services.open_run import open_run as service
        from backcast.settings import run_settings

        context = get_current_context()
        dag_run = context["dag_run"]
        settings = run_settings(workflow, context["params"])
        external_key = f"{dag_run.dag_id}/{dag_run.run_id}"
        run_id = service(clients.ledger(), clients.api(), clients.now, settings, external_key=external_key)
        _log.info("Ledger run %s: %s at %s.", run_id, settings.repository, settings.ref)
        return run_id

    return open_run_task()


@task
@_explained
def collect(run: int) -> None:
    """Store the documents of the run and say what they will cost."""
    from backcast.orchestration import clients
    from backcast.services.collect import collect as service
    from backcast.settings import cache_folder

    collection = service(clients.ledger(), run, cache=cache_folder())
    _log.info(
        "%s documents at %s: %s to send for about $%.4f, %s reused.",
        collection.collected,
        collection.commit,
        collection.to_send,
        collection.estimated_usd,
        collection.reused,
    )
    for reason, count in collection.skipped:
        _log.info("Left out, %s: %s.", reason, count)


@task(trigger_rule="none_failed")
@_explained
def plan_batches(run: int, round_number: int) -> list[int]:
    """Pack what waits for this round into batches."""
    from backcast.orchestration import clients
    from backcast.services.rounds import plan_round

    batches = plan_round(clients.ledger(), run, round_number)
    _log.info("Round %s: %s batches.", round_number, len(batches))
    return batches


@task
@_explained
def submit(batch_id: int) -> int:
    """Send a batch once."""
    from backcast.orchestration import clients
    from backcast.services.submit import submit as service

    return service(clients.ledger(), clients.api(), clients.now, batch_id)


@task
@_explained
def ingest(batch_id: int) -> None:
    """Store and judge a batch's results."""
    from backcast.orchestration import clients
    from backcast.services.ingest import ingest as service

    _log.info("%s", service(clients.ledger(), clients.api(), clients.now, batch_id))


def a_round(run: Any, round_number: int) -> Any:
    """Submit, wait and ingest, for each batch of a round beside the others."""

    @task_group(group_id=f"round_{round_number}")
    def round_group() -> None:
        @task_group(group_id="batch")
        def batch_group(batch_id: int) -> None:
            # At parse time these are references to values that tasks will return.
            submitted: Any = submit(batch_id)
            ended: Any = BatchEndedSensor(task_id="wait", batch_id=submitted).output
            ingest(ended)

        batch_group.expand(batch_id=plan_batches(run, round_number))

    return round_group()


@task(trigger_rule="none_failed")
@_explained
def resubmit_failures(run: int, round_number: int) -> None:
    """Make the next round's requests out of this run's failures."""
    from backcast.orchestration import clients
    from backcast.services.resubmit import resubmit_failures as service

    counts = service(clients.ledger(), run, round_number).counts
    if not counts:
        _log.info("Nothing failed, so round %s has nothing to send.", round_number)
    for (cause, remedy), count in counts.most_common():
        _log.info("%-20s -> %-20s %6d", cause, remedy, count)


def publish(workflow: str, run: Any) -> Any:
    """Settle every document and write the report; announced as the asset `backcast_WORKFLOW_report`."""

    @task(task_id="publish", trigger_rule="none_failed", outlets=[Asset(f"backcast_{workflow}_report")])
    @_explained
    def publish_task(run: int) -> str | None:
        from backcast.orchestration import clients
        from backcast.services.publish import publish as service
        from backcast.settings import reports_folder

        published = service(clients.ledger(), clients.now, run, reports=reports_folder())
        _log.info("Report: %s", published.report or "none, since this was a dry run")
        return str(published.report) if published.report else None

    return publish_task(run)
