"""The command that shows each value of a workflow, and where it came from."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from backcast.cli_options import json_option
from backcast.cli_tables import print_json, print_table
from backcast.services.configuration import configuration

if TYPE_CHECKING:
    from backcast.services.configuration import Value

_BAD_INPUT: Final = 2
_COLUMNS: Final = ["setting", "value", "from", "overridden_by"]


@click.command()
@click.argument("workflow")
@json_option
def config(*, workflow: str, as_json: bool) -> None:
    """Show every value of WORKFLOW and where it came from: a default, workflow.yaml or the environment.

    What a DAG run's parameters say, in its form or in `conf`, comes on top of all of them. Exit 2 when a run could not
    be opened with these values.
    """
    shown = configuration(workflow)
    if as_json:
        print_json(asdict(shown))
    else:
        print_table(f"{workflow}, {shown.file}", [_row(value) for value in shown.values], _COLUMNS)
        print_table("Every workflow", [_row(value) for value in shown.environment], _COLUMNS)
        click.echo("What a DAG run's parameters say, in its form or in `conf`, comes on top.")
    if shown.wrong is not None:
        click.echo(f"backcast: A run could not be opened: {shown.wrong}", err=True)
        sys.exit(_BAD_INPUT)


def _row(value: Value) -> dict[str, Any]:
    parameter = f"parameter {value.parameter}" if value.parameter else None
    others = [name for name in (parameter, value.variable) if name and name != value.where]
    return {
        "setting": value.name,
        "value": _written(value.value),
        "from": value.where,
        "overridden_by": ", ".join(others),
    }


def _written(value: object) -> object:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    return list(value) if isinstance(value, tuple) else value
