"""The command that says which API each workflow is on and why, and what would become of them if all went one way."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import click

from backcast.cli_options import json_option, now
from backcast.cli_tables import print_json, print_table
from backcast.domain.durations import told
from backcast.domain.errors import InputError
from backcast.domain.what_if import MONTH, Choice, usd
from backcast.ledger.connection import Ledger
from backcast.services.routing import route_of
from backcast.services.what_if import ask
from backcast.settings import load_workflow, workflow_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.domain.what_if import Answer, Consequence

_PROBLEMS: Final = 1
_TENTH: Final = Decimal("0.1")
_NAMED: Final = {
    Choice.ALL_BATCH: "Everything as a batch",
    Choice.ALL_SYNC: "Everything synchronously",
}


def _runs_a_month(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, int]:
    told_of: dict[str, int] = {}
    for text in given:
        name, _equals, number = text.partition("=")
        if not name or not number.isdecimal():
            raise click.BadParameter(f"{text!r} is not of the form NAME=N, such as pre_merge_review=400.")
        told_of[name] = int(number)
    return told_of


@click.command()
@click.option(
    "--what-if", "choice", type=click.Choice([each.value for each in Choice]), help="What if everything went one way?"
)
@click.option(
    "--runs-a-month",
    metavar="NAME=N",
    multiple=True,
    callback=_runs_a_month,
    help="How many runs of a workflow 30 days have; for those that are started by hand.",
)
@click.option("--ledger", envvar="BACKCAST_LEDGER", help="DSN, for what runs have cost; without it, estimates.")
@json_option
def route(*, choice: str | None, runs_a_month: dict[str, int], ledger: str | None, as_json: bool) -> None:
    """Show which API each workflow is on, who waits for it, and why.

    With --what-if, what would become of every workflow if all went one way: what would break and how, what it would
    cost in 30 days, and what would be saved without breaking anything. Exit 1 when a workflow contradicts itself.
    """
    if choice is None:
        _show_routes(as_json=as_json)
        return
    answer = ask(Choice(choice), Ledger(ledger) if ledger else None, now(), runs_a_month)
    if as_json:
        print_json(_as_json(answer))
        return
    print_table(f"What if {answer.choice}? US$ in {MONTH.days} days", _rows(answer), _COLUMNS)
    for line in _lines(answer):
        click.echo(line)


def _show_routes(*, as_json: bool) -> None:
    rows, wrong = [], []
    for name in workflow_names():
        try:
            routed = route_of(name)
            consumers = load_workflow(name).get("consumers", [])
        except InputError as error:
            wrong.append((name, str(error)))
        else:
            row = {"workflow": name, "api": str(routed.api), "who_waits": routed.waits, "why": routed.why}
            steps = [{"step": step.name, "api": str(step.api), "why": step.why} for step in routed.steps]
            rows.append(row | {"consumers": consumers, "steps": steps, "route": str(routed)})
    if as_json:
        print_json({"workflows": rows, "refused": [{"workflow": name, "why": why} for name, why in wrong]})
    else:
        shown = [{**row, "api": row["route"]} for row in rows]
        print_table("Which API each workflow is on", shown, ["workflow", "api", "who_waits", "consumers", "why"])
    for name, why in wrong:
        click.echo(f"{name}: {why}", err=True)
    if wrong:
        sys.exit(_PROBLEMS)


_COLUMNS: Final = ["workflow", "now", "then", "runs", "costs_now", "would_cost", "saved", "breaks"]


def _rows(answer: Answer) -> list[dict[str, Any]]:
    return [
        {
            "workflow": each.load.workflow,
            "now": str(each.load.route.api),
            "then": str(each.then),
            "runs": f"{each.load.runs.value:,.1f}",
            "costs_now": f"{each.load.money.now_usd:,.2f}",
            "would_cost": f"{each.then_usd:,.2f}",
            "saved": f"{each.saved_usd:,.2f}",
            "breaks": "yes" if each.breaks else "no",
        }
        for each in answer.consequences
    ]


def _lines(answer: Answer) -> Iterator[str]:
    yield (
        f"Now it costs {_usd(answer.now_usd)}; synchronously, all of it would cost {_usd(answer.synchronous_usd)}. "
        f"Batches save {_usd(answer.saved_already_usd)} already{_share(answer)}."
    )
    less = "less" if answer.saved_usd >= 0 else "more"
    then = f"{_NAMED[answer.choice]} would cost {_usd(answer.then_usd)}"
    yield f"{then}: {_usd(abs(answer.saved_usd))} {less}."
    if answer.choice is Choice.ALL_BATCH:
        yield f"Saved without breaking anything: {_usd(answer.saved_unbroken_usd)}."
    yield ""
    yield _verdict(answer)
    for each in answer.broken:
        yield f"  {each.load.workflow}"
        yield from (f"    - {sentence}" for sentence in each.breaks)
    yield ""
    yield "What the figures rest on:"
    for each in answer.consequences:
        yield f"  {each.load.workflow}: {each.load.money.basis}. Runs: {each.load.runs.basis}."
    yield f"  A batch takes {told(answer.batch.usual)} ({answer.batch.basis}), and may take {told(answer.batch.worst)}."


def _verdict(answer: Answer) -> str:
    if not answer.broken:
        return "Nothing would break."
    return f"It would break {len(answer.broken)} of {len(answer.consequences)} workflows:"


def _share(answer: Answer) -> str:
    whole = answer.synchronous_usd
    return f", {answer.saved_already_usd / whole:.0%} of that" if whole else ""


def _usd(amount: Decimal) -> str:
    return f"US$ {amount:,.2f}"


def _as_json(answer: Answer) -> dict[str, Any]:
    return {
        "choice": str(answer.choice),
        "days": MONTH.days,
        "now_usd": usd(answer.now_usd),
        "then_usd": usd(answer.then_usd),
        "synchronous_usd": usd(answer.synchronous_usd),
        "saved_already_usd": usd(answer.saved_already_usd),
        "saved_usd": usd(answer.saved_usd),
        "saved_without_breaking_usd": usd(answer.saved_unbroken_usd),
        "batch": {
            "usual_seconds": answer.batch.usual.total_seconds(),
            "worst_seconds": answer.batch.worst.total_seconds(),
            "basis": answer.batch.basis,
        },
        "workflows": [_consequence_json(each) for each in answer.consequences],
    }


def _consequence_json(each: Consequence) -> dict[str, Any]:
    load = each.load
    return {
        "workflow": load.workflow,
        "now": str(load.route.api),
        "then": str(each.then),
        "runs": load.runs.value.quantize(_TENTH),
        "runs_basis": load.runs.basis,
        "now_usd": usd(load.money.now_usd),
        "then_usd": usd(each.then_usd),
        "saved_usd": usd(each.saved_usd),
        "money_basis": load.money.basis,
        "breaks": list(each.breaks),
        "usual_hours_of_waiting": each.usual_hours,
        "worst_hours_of_waiting": each.worst_hours,
    }
