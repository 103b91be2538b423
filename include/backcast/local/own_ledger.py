"""The ledger of a command that needs no Airflow: the one that is named, or a PostgreSQL of our own while it runs."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from backcast.domain.errors import LedgerError
from backcast.ledger.connection import Ledger
from backcast.local.lock import held_home
from backcast.local.postgres import running_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator


def data_folder() -> Path:
    """Return where a ledger of our own lives: `BACKCAST_HOME`, or `backcast` in the user's data folder."""
    home = os.environ.get("BACKCAST_HOME")
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return (Path(home) if home else Path(data) / "backcast").expanduser().resolve() / "ledger"


@contextmanager
def own_ledger(dsn: str | None) -> Iterator[Ledger]:
    """Give the ledger at `dsn`, or one of our own that runs for the length of a `with` block; migrated.

    Raises:
        BackcastError: it is not reachable, does not start, or another command uses the one of our own.
    """
    if dsn:
        yield _migrated(Ledger(dsn))
        return
    home = data_folder()
    with held_home(home), running_postgres(home, databases=("backcast",)) as server:
        yield _migrated(Ledger(server.dsn("backcast")))


def _migrated(ledger: Ledger) -> Ledger:
    try:
        with ledger.connect():
            return ledger
    except LedgerError:
        from backcast.ledger.migrate import migrate  # noqa: PLC0415  it costs more than all the rest

        migrate(ledger.dsn)
    with ledger.connect():
        return ledger
