"""The commands of the review lane."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import click

from backcast.cli_options import RUN, json_option, ledger_option, now
from backcast.cli_tables import print_json, print_table
from backcast.ledger.connection import Ledger

_COLUMNS: Final = ["item_id", "run_id", "workflow", "path", "cause", "state", "opened_at", "note"]


@click.group("review-lane")
def review_lane() -> None:
    """Look at what was given up and would fail again, and decide about it."""


@review_lane.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what was decided.")
@json_option
@ledger_option
def list_items(*, everything: bool, as_json: bool, ledger: str) -> None:
    """List what waits for a person."""
    from backcast.services.review_lane import list_items as service

    items = service(Ledger(ledger), everything=everything)
    if as_json:
        print_json({"items": items})
    elif items:
        print_table(
            "Review lane", items, ["item_id", "run_id", "workflow", "path", "cause", "state", "opened_at", "note"]
        )
    else:
        click.echo("Nothing waits in the review lane.")


@review_lane.command()
@click.argument("item", type=RUN)
@json_option
@ledger_option
def show(*, item: int, as_json: bool, ledger: str) -> None:
    """Show an ITEM: what was asked about its document, what came back, and why that was no answer."""
    from backcast.services.review_lane import show_item

    shown = show_item(Ledger(ledger), item)
    if as_json:
        print_json(asdict(shown))
        return
    click.echo(f"Item {item}: {shown.item['path']} of {shown.item['workflow']}, run {shown.item['run_id']}.")
    click.echo(f"{shown.item['state']}: {shown.item['reason']}")
    for attempt in shown.attempts:
        where = "synchronously" if attempt["synchronous"] else "in a batch"
        if attempt["line_start"] is not None:
            where += f", lines {attempt['line_start']} to {attempt['line_end']}"
        click.echo(
            f"\nr{attempt['round']} {attempt['remedy'] or 'first'} {where}: {attempt['cause']}, {attempt['detail']}"
        )
        click.echo(attempt["raw"])


@review_lane.command()
@click.argument("item", type=RUN)
@ledger_option
def retry(*, item: int, ledger: str) -> None:
    """Let the next run ask about an ITEM again."""
    from backcast.services.review_lane import decide_item

    decide_item(Ledger(ledger), now, item, "retry")
    click.echo(f"Item {item} is asked about again by the next run that finds its document.")


@review_lane.command()
@click.argument("item", type=RUN)
@click.option("--note", help="Why, for whoever looks later.")
@ledger_option
def dismiss(*, item: int, note: str | None, ledger: str) -> None:
    """Leave an ITEM out until its content, the prompt or the model changes."""
    from backcast.services.review_lane import decide_item

    decide_item(Ledger(ledger), now, item, "dismissed", note)
    click.echo(f"Item {item} is dismissed: its document is skipped until its content, the prompt or the model changes.")
