"""A connection to the ledger, and its SQL by name."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, LiteralString, TypeAlias

import psycopg
from psycopg.rows import dict_row

from backcast.domain.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator

Row: TypeAlias = dict[str, Any]
Connection: TypeAlias = psycopg.Connection[Row]

SCHEMA: Final = "backcast"
HEAD: Final = "0013"
_CONNECT_TIMEOUT_SECONDS = 10


@cache
def sql(name: str) -> LiteralString:
    """Return the statement in `sql/NAME.sql`; a first comment line there says what it is for."""
    return (resources.files("backcast.ledger") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger at a DSN (`postgresql://…`). Every use opens a connection of its own."""

    dsn: str

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Open a connection in autocommit mode; transactions are explicit, by `connection.transaction()`.

        Raises:
            LedgerError: it is not reachable or goes away, is not migrated, or was migrated by a newer version.
        """
        connection = _open(self.dsn)
        try:
            with connection:
                _require_current_schema(connection)
                yield connection
        except psycopg.OperationalError as error:
            raise LedgerError(
                f"The ledger went away: {str(error).strip()}. What was written before stands; run this again."
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a connection with one transaction, committed at the end."""
        with self.connect() as connection, connection.transaction():
            yield connection


@dataclass(frozen=True, slots=True)
class Standing:
    """A server's version as it tells it, 150004 for 15.4, and the ledger's revision; None when it has none."""

    server_version: int
    revision: str | None


def standing(dsn: str) -> Standing:
    """Look at a ledger whatever revision it is at.

    Raises:
        LedgerError: it is not reachable.
    """
    with _open(dsn) as connection:
        return Standing(connection.info.server_version, _revision(connection))


def _open(dsn: str) -> Connection:
    try:
        return psycopg.connect(
            dsn,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=_CONNECT_TIMEOUT_SECONDS,
            options=f"-c search_path={SCHEMA} -c timezone=UTC",
            application_name="backcast",
        )
    except psycopg.ProgrammingError as error:
        # What it says may quote the password.
        raise LedgerError(
            "The ledger's DSN cannot be read: it must have the form postgresql://user:password@host:port/database."
        ) from error
    except psycopg.OperationalError as error:
        raise LedgerError(
            f"The ledger is not reachable: {str(error).strip()}. Start its PostgreSQL, or correct the connection "
            "backcast_ledger in Airflow, or BACKCAST_LEDGER."
        ) from error


def _revision(connection: Connection) -> str | None:
    try:
        row = connection.execute(sql("schema_version")).fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    return row["version_num"] if row else None


def _require_current_schema(connection: Connection) -> None:
    version = _revision(connection)
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise LedgerError(
            f"The ledger was migrated by a newer version of Backcast (it is at {version}, this is {HEAD}). "
            "Install that version or a later one."
        )
    raise LedgerError(
        f"The ledger is not migrated (it is at {version or 'nothing'}, this needs {HEAD}). Run `backcast migrate`."
    )
