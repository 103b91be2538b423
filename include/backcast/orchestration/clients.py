"""The ledger and the API as Airflow's connections name them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote

from airflow.providers.anthropic.hooks.anthropic import AnthropicHook
from airflow.sdk import BaseHook

from backcast.anthropic_api.batches import MessageBatchesApi
from backcast.domain.errors import InputError
from backcast.ledger.connection import Ledger

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from backcast.anthropic_api.batches import Client, Connect

LEDGER_CONNECTION: Final = "backcast_ledger"
API_CONNECTION: Final = "anthropic_default"


def ledger() -> Ledger:
    """Return the ledger of the connection `backcast_ledger`."""
    return Ledger(_dsn(BaseHook.get_connection(LEDGER_CONNECTION)))


def api() -> MessageBatchesApi:
    """Return the API of the connection `anthropic_default`."""
    hook = AnthropicHook(conn_id=API_CONNECTION)
    if hook.platform != "anthropic":
        raise InputError(
            f"The connection {API_CONNECTION} is for {hook.platform}, which has no Message Batches API that was "
            "tried. Remove `platform` from its extra, or set it to anthropic."
        )
    # The hook's types name every platform's client; this platform has these.
    return MessageBatchesApi(cast("Client", hook.get_conn()), cast("Connect", hook.get_async_conn))


def now() -> datetime:
    """Tell the time in UTC."""
    return datetime.now(UTC)


def _dsn(connection: Connection) -> str:
    if connection.conn_type not in ("postgres", "postgresql"):
        raise InputError(
            f"The connection {LEDGER_CONNECTION} is of type {connection.conn_type!r}: it must be of type postgres."
        )
    login = quote(connection.login or "", safe="")
    password = f":{quote(connection.password, safe='')}" if connection.password else ""
    address = f"{connection.host}:{connection.port or 5432}"
    return f"postgresql://{login}{password}@{address}/{quote(connection.schema or '', safe='')}"
