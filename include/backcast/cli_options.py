"""What several commands are told in the same way."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import Final

import click

from backcast.domain.errors import InputError

# What PostgreSQL holds in a bigint; a greater number is a slip of the hand and no run.
RUN: Final = click.IntRange(min=1, max=2**63 - 1)

ledger_option = click.option(
    "--ledger", envvar="BACKCAST_LEDGER", required=True, help="DSN: postgresql://user:password@host/db."
)
own_ledger_option = click.option(
    "--ledger", envvar="BACKCAST_LEDGER", help="DSN of the ledger; without it, one of our own is used."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def now() -> datetime:
    """Tell the time in UTC."""
    return datetime.now(UTC)


def current_user() -> str:
    """Return who runs the command.

    Raises:
        InputError: nobody knows, as in some containers.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise InputError("Nobody knows which user this is: say who you are with --by.") from error
