"""The command that says which deadlines are at risk or missed, and what would be sent about them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from backcast.cli_options import RUN, json_option, ledger_option, now
from backcast.cli_tables import print_json
from backcast.ledger.connection import Ledger
from backcast.ledger.runs import load_run
from backcast.services.deadlines import check_deadlines, upcoming

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from backcast.services.alerts import Message


@click.command()
@click.argument("run", type=RUN, required=False)
@click.option("--dry-run", is_flag=True, help="Show also what is not due yet; raise nothing.")
@json_option
@ledger_option
def alert(*, run: int | None, dry_run: bool, as_json: bool, ledger: str) -> None:
    """Raise the alerts that are due about deadlines, of RUN or of every run that owes a report, once each.

    They become rows of the ledger and lines here. Only Airflow, which has the connections, writes to people, and not
    about what was raised here. With --dry-run, show each message that is due or still to come unless the report is
    published before, and send and raise nothing.
    """
    reached = Ledger(ledger)
    if run is not None:
        with reached.connect() as connection:
            load_run(connection, run)
    only = None if run is None else [run]
    messages = upcoming(reached, now, only) if dry_run else check_deadlines(reached, now, only)
    moment = now()
    if as_json:
        print_json([asdict(message) | {"due": message.at <= moment} for message in messages])
        return
    for line in _lines(messages, moment):
        click.echo(line)


def _lines(messages: Sequence[Message], moment: datetime) -> list[str]:
    lines = [
        f"{message.at:%Y-%m-%d %H:%M} UTC  {message.kind}{', due' if message.at <= moment else ''}\n  {message.text}"
        for message in messages
    ]
    return lines or ["No deadline is at risk that was not said before."]
