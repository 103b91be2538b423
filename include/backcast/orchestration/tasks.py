"""The tasks that batch DAGs are made of; each calls one service."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import Asset, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from backcast.domain.errors import InDoubtError, WaitsError
from backcast.orchestration.explaining import explained
from backcast.orchestration.sensor import BatchEndedSensor, ClaimsSensor
from backcast.services.rounds import INHERITED_ROUND

_log = logging.getLogger(__name__)


def open_run(workflow: str) -> Any:
    """Open the ledger's run for this DAG run; its id is all that travels."""

    @task(task_id="open_run")
    @explained
    def open_run_task() -> int:
        from backcast.orchestration import clients
        from backcast.orchestration.deadlines import settings_in_time
        from backcast.services.open_run import open_run as service
        from backcast.services.routing import require_batch

        require_batch(workflow)
        context = get_current_context()
        dag_run = context["dag_run"]
        settings, start_by = settings_in_time(workflow, dag_run, context["params"])
        external_key = f"{dag_run.dag_id}/{dag_run.run_id}"
        ledger = clients.ledger()
        run_id = service(ledger, clients.api(), clients.now, settings, external_key=external_key, start_by=start_by)
        _log.info("Ledger run %s: %s at %s.", run_id, settings.repository, settings.ref)
        return run_id

    return open_run_task()


@task
@explained
def collect(run: int) -> None:
    """Store the documents of the run and say what they will cost."""
    from backcast.orchestration import clients
    from backcast.services.collect import collect as service
    from backcast.settings import cache_folder

    collection = service(clients.ledger(), clients.now, run, cache=cache_folder())
    _log.info(
        "%s documents at %s: %s to send for about $%.4f, %s reused, %s asked for by other runs.",
        collection.collected,
        collection.commit,
        collection.to_send,
        collection.estimated_usd,
        collection.reused,
        collection.elsewhere,
    )
    if collection.caching:
        _log.info("Prompt cache: %s.", collection.caching)
    if collection.left_out:
        _log.warning("The budget does not cover %s documents: they stay unanswered.", collection.left_out)
    for reason, count in collection.skipped:
        _log.info("Left out, %s: %s.", reason, count)


@task(trigger_rule="none_failed")
@explained
def gate(run: int) -> None:
    """Prove the prompt on a sample before anything is submitted; a pass holds for later runs."""
    from backcast.orchestration import clients
    from backcast.services.gate import gate as service

    for line in service(clients.ledger(), clients.api(), clients.now, run).lines():
        _log.info("%s", line)


@task(trigger_rule="none_failed")
@explained
def plan_batches(run: int, round_number: int) -> list[int]:
    """Pack what waits for this round into batches."""
    from backcast.orchestration import clients
    from backcast.services.rounds import plan_round

    batches = plan_round(clients.ledger(), clients.now, run, round_number)
    _log.info("Round %s: %s batches.", round_number, len(batches))
    return batches


@task
@explained
def submit(batch_id: int) -> int:
    """Send a batch once; what has no known end is left to the wait."""
    from backcast.orchestration import clients
    from backcast.services.submit import submit as service

    try:
        return service(clients.ledger(), clients.api(), clients.now, batch_id)
    except (InDoubtError, WaitsError) as error:
        # The wait looks for it, and sends it when it can be sent.
        _log.warning("%s", error)
        return batch_id


@task
@explained
def ingest(batch_id: int) -> None:
    """Store and judge a batch's results."""
    from backcast.orchestration import clients
    from backcast.services.ingest import ingest as service

    _log.info("%s", service(clients.ledger(), clients.api(), clients.now, batch_id))


def a_round(run: Any, round_number: int) -> Any:
    """Submit, wait and ingest, for each batch of a round beside the others."""

    @task_group(group_id=f"round_{round_number}")
    def round_group() -> None:
        _batches(run, round_number)

    return round_group()


def inherited(run: Any) -> Any:
    """Wait for what other runs asked for first, and ask for what they gave up."""

    @task_group(group_id="inherited")
    def inherited_group() -> None:
        # At parse time this is a reference to the value that the sensor will return.
        waited: Any = ClaimsSensor(task_id="wait_for_other_runs", run=run).output
        _batches(waited, INHERITED_ROUND, after=gate(waited))

    return inherited_group()


def _batches(run: Any, round_number: int, after: Any = None) -> None:
    @task_group(group_id="batch")
    def batch_group(batch_id: int) -> None:
        # At parse time these are references to values that tasks will return.
        submitted: Any = submit(batch_id)
        ended: Any = BatchEndedSensor(task_id="wait", batch_id=submitted).output
        ingest(ended) >> rescue_canceled(run)

    planned: Any = plan_batches(run, round_number)
    if after is not None:
        after >> planned
    batch_group.expand(batch_id=planned)


@task(task_id="rescue")
@explained
def rescue_canceled(run: int) -> None:
    """From the cut-off on, answer synchronously what was canceled, while other batches go on."""
    _rescue(run, final=False)


@task(trigger_rule="none_failed")
@explained
def rescue(run: int) -> None:
    """Answer synchronously what no batch has answered and no round is left for."""
    _rescue(run, final=True)


@task(trigger_rule="none_failed")
@explained
def rescue_inherited(run: int) -> None:
    """Answer synchronously what other runs gave up and no batch has answered since."""
    _rescue(run, final=True)


def _rescue(run: int, *, final: bool) -> None:
    from backcast.orchestration import clients
    from backcast.services.rescue import rescue as service

    rescued = service(clients.ledger(), clients.api(), clients.now, run, final=final)
    _log.info("%s documents were answered synchronously; %s are left unanswered.", rescued.answered, rescued.left)


@task(trigger_rule="none_failed")
@explained
def check_findings(run: int) -> None:
    """Hold the findings that come first in the report against the repository, synchronously, by a model with tools."""
    from backcast.orchestration import clients
    from backcast.services.finding_checks import check_findings as service
    from backcast.settings import cache_folder

    checked = service(clients.ledger(), clients.api(), clients.now, run, cache=cache_folder())
    _log.info(
        "%s findings were checked, of %s the verdict was known; %s stay unclear without one.",
        checked.asked,
        checked.known,
        checked.left,
    )


@task(trigger_rule="none_failed")
@explained
def resubmit_failures(run: int, round_number: int) -> None:
    """Make the next round's requests out of this run's failures."""
    from backcast.orchestration import clients
    from backcast.services.resubmit import lane
    from backcast.services.resubmit import resubmit_failures as service

    counts = service(clients.ledger(), run, round_number).counts
    if not counts:
        _log.info("Nothing failed, so round %s has nothing to send.", round_number)
    for (cause, remedy), count in counts.most_common():
        _log.info("%-20s -> %-20s %6d", cause, remedy, count)
    if counts:
        _log.info("What goes again goes %s.", lane(clients.ledger(), clients.now, run))


@task(trigger_rule="none_failed")
@explained
def run_proposed_tests(run: int) -> None:
    """Run the tests that were proposed, where that is switched on, so that what fails goes again."""
    _run_tests(run, last=False)


@task(trigger_rule="none_failed")
@explained
def run_last_tests(run: int) -> None:
    """Run the tests that nobody has run yet; what fails is not offered."""
    _run_tests(run, last=True)


def _run_tests(run: int, *, last: bool) -> None:
    from backcast.orchestration import clients
    from backcast.services.test_runs import run_tests as service
    from backcast.settings import cache_folder

    ran = service(clients.ledger(), clients.now, run, last=last, cache=cache_folder())
    _log.info("%s.", ran.told())


@task
@explained
def reconcile() -> None:
    """Catch up on whatever was left behind, and say what was found and done."""
    from backcast.orchestration import clients
    from backcast.orchestration.abandoned import survey
    from backcast.orchestration.delivery import deliver
    from backcast.services.alerts import untold
    from backcast.services.deadlines import check_deadlines
    from backcast.services.reconcile import Folders, long_idle, mark_left
    from backcast.services.reconcile import reconcile as service
    from backcast.settings import cache_folder, reports_folder

    ledger, folders = clients.ledger(), Folders(cache_folder(), reports_folder())
    found = survey(ledger)
    mark_left(ledger, clients.now, found.left)
    # Before anything that needs the API, which may be why a report is at risk.
    deliver([*check_deadlines(ledger, clients.now), *untold(ledger, clients.now)])
    abandoned = [*found.abandoned, *long_idle(ledger, clients.now, found.idle)]
    done = service(ledger, clients.api(), clients.now, folders, abandoned)
    deliver(untold(ledger, clients.now))
    for line in done.lines():
        _log.info("%s", line)
    for problem in done.problems:
        _log.warning("%s", problem)


def publish(workflow: str, run: Any) -> Any:
    """Settle every document and write the report; announced as the asset `backcast_WORKFLOW_report`."""

    @task(task_id="publish", trigger_rule="none_failed", outlets=[Asset(f"backcast_{workflow}_report")])
    @explained
    def publish_task(run: int) -> str | None:
        from backcast.orchestration import clients
        from backcast.services.publish import publish as service
        from backcast.settings import reports_folder

        published = service(clients.ledger(), clients.now, run, reports=reports_folder())
        _log.info("Report: %s", published.report or "none, since this was a dry run")
        if published.interim:
            # Whoever waits for the asset waits for the report that is due.
            raise AirflowSkipException("This report is an interim one: a later run makes the one that is due.")
        return str(published.report) if published.report else None

    return publish_task(run)
