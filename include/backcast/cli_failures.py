"""The command that shows first-pass rates."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import click

from backcast.cli_options import json_option, ledger_option, now
from backcast.cli_tables import print_json, print_table
from backcast.ledger.connection import Ledger
from backcast.services.first_pass import first_pass

_COLUMNS: Final = "workflow prompt_version language requests accepted rate causes retries retries_usd"


@click.command()
@click.option(
    "--days", type=click.IntRange(min=1, max=3650), default=30, show_default=True, help="Of runs opened since."
)
@json_option
@ledger_option
def failures(*, days: int, as_json: bool, ledger: str) -> None:
    """Show how many requests were accepted at the first attempt, why the others were not, and what retries cost."""
    rates = first_pass(Ledger(ledger), now, timedelta(days=days))
    rows = [rate.row() for rate in rates]
    if as_json:
        print_json({"days": days, "first_pass": rows})
    elif rows:
        told = [{**row, "causes": _told(row["causes"])} for row in rows]
        print_table(f"First pass, last {days} days", told, _COLUMNS.split())
    else:
        click.echo(f"No request has come back in the last {days} days.")


def _told(causes: dict[str, int]) -> str:
    return ", ".join(f"{cause} {count}" for cause, count in sorted(causes.items(), key=lambda item: -item[1]))
