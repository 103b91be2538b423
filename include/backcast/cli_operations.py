"""The commands that look at runs and act on them: status, reconcile, cancel, resubmit."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from backcast.cli_options import RUN, current_user, json_option, ledger_option, now
from backcast.cli_tables import print_json, print_table
from backcast.domain.errors import InputError
from backcast.domain.sampling import LetPass
from backcast.domain.scores import told
from backcast.ledger.connection import Ledger, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.domain.report import Retried
    from backcast.services.status import Status

_PROBLEMS = 1
_API_BATCH = "msgbatch_"


@click.command()
@click.argument("run", type=RUN, required=False)
@click.option("--failures", is_flag=True, help="Of one RUN: the documents that failed at first, and how each went on.")
@json_option
@ledger_option
def status(*, run: int | None, failures: bool, as_json: bool, ledger: str) -> None:
    """Show runs, batches, requests by state, what is in doubt, money, and alerts; one RUN, or the recent ones."""
    from backcast.services.status import read_failures, read_status

    if failures:
        if run is None:
            raise click.UsageError("--failures needs the number of a RUN; `backcast status` lists the recent ones.")
        _show_failures(read_failures(Ledger(ledger), run), as_json=as_json)
        return
    read = read_status(Ledger(ledger), now, run)
    if as_json:
        print_json(asdict(read))
    else:
        _print_status(read)


@click.command()
@click.option("--finish", type=RUN, multiple=True, metavar="RUN", help="Also do what is left of this run.")
@json_option
@ledger_option
def reconcile(*, finish: Sequence[int], as_json: bool, ledger: str) -> None:
    """Settle what is in doubt, ingest what nobody read, and warn before results are deleted. Exit 1 on problems."""
    from backcast.services.reconcile import Folders
    from backcast.services.reconcile import reconcile as service
    from backcast.settings import cache_folder, reports_folder

    folders = Folders(cache_folder(), reports_folder())
    done = service(Ledger(ledger), _api(), now, folders, finish)
    if as_json:
        print_json(asdict(done))
    else:
        for line in done.lines():
            click.echo(line)
        for problem in done.problems:
            click.echo(f"backcast: {problem}", err=True)
    sys.exit(_PROBLEMS if done.problems else 0)


@click.command()
@click.argument("what", metavar="RUN|BATCH")
@ledger_option
def cancel(*, what: str, ledger: str) -> None:
    """Cancel a run by its number, or one batch by its id msgbatch_…. What had finished is kept, and paid for.

    What is in doubt is canceled too when BACKCAST_EXCLUSIVE=true says that nobody else uses the workspace, and only one
    listed batch can be it. Exit 1 when something could not be canceled.
    """
    from backcast.services.cancel import cancel_batch, cancel_run
    from backcast.settings import exclusive_workspace

    if what.startswith(_API_BATCH):
        done = [cancel_batch(Ledger(ledger), _api(), now, what)]
    elif what.isdecimal():
        done = cancel_run(Ledger(ledger), _api(), now, int(what), exclusive=exclusive_workspace())
        click.echo(f"Run {what} is canceled: nothing more is sent for it.")
    else:
        raise InputError(f"{what!r} is neither the number of a run nor the id of a batch, msgbatch_….")
    for batch in done:
        click.echo(f"Batch {batch.batch_id}{f' ({batch.api_batch_id})' if batch.api_batch_id else ''} {batch.what}.")
    click.echo("What had finished is kept: it is ingested when the batch has ended.")
    if any(batch.failed for batch in done):
        click.echo(
            f"backcast: what could not be canceled goes on and costs. Run `backcast cancel {what}` again.", err=True
        )
        sys.exit(_PROBLEMS)


@click.command()
@click.argument("run", type=RUN)
@click.option("--again", is_flag=True, help="Pay again for what is in doubt or can no longer be read.")
@click.option("--let-pass", metavar="WHY", help="Submit the rest although the sample failed; who and why is kept.")
@click.option("--by", help="Who lets it pass; you, unless told.")
@ledger_option
def resubmit(*, run: int, again: bool, let_pass: str | None, by: str | None, ledger: str) -> None:
    """Let a held RUN go on; with --again, send again what cannot be settled, which may be paid for twice."""
    from backcast.services.cancel import resubmit_run

    given_up = resubmit_run(Ledger(ledger), now, run, again=again, let_pass=_let_pass(let_pass, by))
    for batch_id in given_up:
        click.echo(f"Batch {batch_id} is given up: its requests are sent again, and may be paid for twice.")
    click.echo(
        f"Run {run} may go on: clear the task that stopped in Airflow, or run `backcast reconcile --finish {run}`."
    )


def _let_pass(why: str | None, by: str | None) -> LetPass | None:
    if why is None:
        return None
    if not why.strip():
        raise InputError("--let-pass says nothing: write why the run may go on although its sample failed.")
    return LetPass(by=by or current_user(), why=why.strip())


def _api() -> MessageBatchesApi:
    # Imported here: the SDK costs two seconds, which no other command should pay.
    from backcast.anthropic_api.batches import api_from_environment

    return api_from_environment()


def _show_failures(failures: list[Retried], *, as_json: bool) -> None:
    if as_json:
        print_json({"failures": [asdict(failure) for failure in failures]})
    elif failures:
        print_table("Failures", [asdict(failure) for failure in failures], ["path", "answered", "lineage"])
    else:
        click.echo("No document of this run has failed.")


def _told_of_gate(row: Row) -> Row:
    verdict = "revoked" if row["revoked_at"] else row["verdict"] or "under way"
    return {**row, "verdict": verdict, "scores": told(row["scores"]) if row["scores"] else None}


def _print_status(read: Status) -> None:
    if not read.runs:
        click.echo("No run is open, and none was opened in the last 48 hours.")
    for title, rows, columns in (
        (
            "Runs",
            [{**row, "held": row["held_because"] or ("canceled" if row["canceled_at"] else "")} for row in read.runs],
            "run_id workflow state deadline documents open accepted failed left_unanswered reserved_usd spent_usd held",
        ),
        ("Batches", read.batches, "batch_id run_id round state request_count api_batch_id succeeded errored note"),
        ("In doubt", read.in_doubt, "batch_id run_id request_count intended_at empty_listings candidates"),
        ("Samples", [_told_of_gate(row) for row in read.gates], "run_id verdict scores decided_by why"),
        ("Paid twice", read.paid_twice, "api_batch_id batch_id run_id row_count cost_usd"),
        ("Alerts", read.alerts, "raised_at kind run_id message"),
    ):
        if rows:
            print_table(title, rows, columns.split())
