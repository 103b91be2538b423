"""Brings the ledger's tables up to date, and tells whether they are."""

from __future__ import annotations

from importlib import resources
from typing import Final

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from backcast.domain.errors import LedgerError
from backcast.ledger.connection import sql

VERSION_TABLE: Final = "schema_version"


def migrate(dsn: str) -> None:
    """Apply every migration that the ledger at `dsn` lacks.

    Raises:
        LedgerError: it is not reachable, or was migrated by a newer version of Backcast.
    """
    engine = sqlalchemy.create_engine(_sqlalchemy_url(dsn), poolclass=sqlalchemy.NullPool)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(sql("prepare_migrations"))
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise LedgerError(
            f"The ledger was migrated by a newer version of Backcast ({error}). Install that version or a later one."
        ) from error
    except sqlalchemy.exc.OperationalError as error:
        raise LedgerError(
            f"The ledger is not reachable: {error.orig}. Start its PostgreSQL, or correct the DSN in BACKCAST_LEDGER."
        ) from error


def _sqlalchemy_url(dsn: str) -> str:
    for prefix in ("postgresql://", "postgres://"):
        if dsn.startswith(prefix):
            return "postgresql+psycopg://" + dsn.removeprefix(prefix)
    raise LedgerError("The ledger's DSN must have the form postgresql://user:password@host:port/database.")


def _config() -> Config:
    config = Config()
    folder = str(resources.files("backcast.ledger") / "migrations")
    # The option is interpolated, as in an .ini file.
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config
