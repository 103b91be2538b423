"""Checks what Airflow is told: its connections, and by which of them alerts are sent."""

from __future__ import annotations

import os
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backcast.domain.checkup import Check, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from backcast.anthropic_api.batches import MessageBatchesApi

_CONTEXT: Final = "_AIRFLOW_PROCESS_CONTEXT"
_TYPES: Final = {"anthropic_default": "anthropic", "backcast_ledger": "postgres"}


def is_set_up(environment: Mapping[str, str]) -> bool:
    """Whether Airflow is installed and was told anything here; importing it would else make a home for it."""
    if find_spec("airflow") is None:
        return False
    home = environment.get("AIRFLOW_HOME") or str(Path.home() / "airflow")
    told = any(name.startswith(("AIRFLOW__", "AIRFLOW_CONN_")) for name in environment)
    return told or (Path(home) / "airflow.cfg").exists()


@contextmanager
def as_operator() -> Iterator[None]:
    """Look connections up as Airflow's own command does: also in its database, which tasks may not read."""
    before = os.environ.get(_CONTEXT)
    os.environ[_CONTEXT] = "server"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CONTEXT]
        else:
            os.environ[_CONTEXT] = before


def has_connection(conn_id: str) -> bool:
    """Whether Airflow has a connection of this id."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return False
    return True


def api() -> MessageBatchesApi:
    """Return the API of the connection `anthropic_default`."""
    from backcast.orchestration import clients

    return clients.api()


def ledger_dsn() -> str:
    """Return the DSN of the ledger of the connection `backcast_ledger`."""
    from backcast.orchestration import clients

    return clients.ledger().dsn


def check_connection(conn_id: str) -> Check:
    """Check that one of the connections which every DAG needs is there, and of its type."""
    from airflow.sdk import BaseHook

    name, type_ = f"Airflow connection {conn_id}", _TYPES[conn_id]
    if not has_connection(conn_id):
        add = f"`airflow connections add {conn_id} --conn-type {type_} …`"
        return Check(name, State.FAILED, f"is missing, or Airflow's database cannot be read. Add it: {add}.")
    found = BaseHook.get_connection(conn_id).conn_type
    if found not in {type_, "postgresql" if type_ == "postgres" else type_}:
        return Check(name, State.FAILED, f"is of type {found}: it must be of type {type_}.")
    return Check(name, State.OK, f"is there, of type {found}.")


def check_alerts(conn_id: str) -> Check:
    """Check that alerts can be sent by a connection that is named for them, as far as that shows beforehand."""
    from backcast.orchestration.delivery import require_deliverable

    name = f"alerts by {conn_id}"
    if not has_connection(conn_id):
        return Check(
            name,
            State.FAILED,
            "has no Airflow connection: add it, or take it out of BACKCAST_ALERTS, or of the workflow's notifications.",
        )
    return Check(name, State.OK, f"can be sent by its notifier for {require_deliverable(conn_id)}.")


def connections() -> list[str]:
    """Return the ids of the connections that every DAG needs."""
    return list(_TYPES)
