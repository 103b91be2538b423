"""The command that shows what would be sent."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from backcast.cli_options import RUN, now
from backcast.ledger.connection import Ledger

if TYPE_CHECKING:
    from backcast.services.preview import Preview


@click.command()
@click.argument("workflow")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="At most so many; 0: all.")
@click.option("--retry-of", type=RUN, metavar="RUN", help="What goes again of this run instead; needs the ledger.")
@click.option("--repository", help="Path or URL of a git repository; the workflow's unless told.")
@click.option("--ref", help="Branch, tag or commit; the workflow's unless told.")
@click.option("--ledger", envvar="BACKCAST_LEDGER", help="For --retry-of. DSN: postgresql://user:password@host/db.")
def requests(  # noqa: PLR0913  one parameter for each option
    *, workflow: str, limit: int, retry_of: int | None, repository: str | None, ref: str | None, ledger: str | None
) -> None:
    """Print the body of the create call that WORKFLOW would make, and send nothing.

    The requests of a first round, as if no answer was known: one a document, which a run packs into one batch or more.
    With --retry-of, what the next round of RUN would send for what has failed up to now; the ledger stays as it is.
    """
    given = {"repository": repository, "ref": ref}
    if retry_of is None:
        preview = _first_round(workflow, given, limit or None)
    elif any(given.values()):
        raise click.UsageError("--repository and --ref say nothing of a run that has its documents: leave them out.")
    elif not ledger:
        raise click.UsageError("--retry-of needs the ledger: give --ledger, or set BACKCAST_LEDGER.")
    else:
        preview = _next_round(ledger, workflow, retry_of, limit or None)
    with preview.body as body:
        shutil.copyfileobj(body, sys.stdout.buffer)
    click.echo()
    for note in preview.notes:
        click.echo(f"backcast: {note}", err=True)


def _first_round(workflow: str, given: dict[str, Any], limit: int | None) -> Preview:
    from backcast.services.preview import first_round
    from backcast.settings import cache_folder, run_settings

    return first_round(run_settings(workflow, given), cache_folder(), limit)


def _next_round(ledger: str, workflow: str, run: int, limit: int | None) -> Preview:
    from backcast.services.preview import next_round

    return next_round(Ledger(ledger), now, workflow, run, limit)
