"""How commands print rows: as tables for people, as JSON for programs."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, Final

import click
import orjson
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH: Final = 240


def print_json(value: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Print JSON; times and decimals as text."""
    click.echo(orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())


def print_table(title: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    """Print these columns of the rows."""
    # A pipe has no width, and whoever reads it wants whole ids.
    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
    console.print(_table(title, rows, columns))


def _table(title: str, rows: list[dict[str, Any]], columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        # Notes quote what the API said, in which [brackets] are no markup of ours.
        table.add_row(*(Text(_text(row[column])) for column in columns))
    return table


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "" if value is None else str(value)
