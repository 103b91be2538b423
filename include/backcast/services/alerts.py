"""Alerts: said once for each kind and subject, as a row of the ledger and a line in the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backcast.ledger.connection import Connection, Ledger, sql

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.services.open_run import Clock

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """An alert as people are sent it: of which kind, from when on it holds, about which DAG run, and what it says.

    `run_id` is None when the DAG run was never opened in the ledger, or when it is about no run. `workflow` is None
    when it is about none.
    """

    kind: str
    at: datetime
    external_key: str
    run_id: int | None
    text: str
    workflow: str | None = None


def untold(ledger: Ledger, clock: Clock) -> list[Message]:
    """Return the alerts that nobody was sent, the oldest first, once: whoever calls this sends them."""
    with ledger.connect() as connection:
        rows = connection.execute(sql("tell_alerts"), {"now": clock()}).fetchall()
    return [
        Message(row["kind"], row["raised_at"], row["external_key"], row["run_id"], row["message"], row["workflow"])
        for row in rows
    ]


def raise_alert(  # noqa: PLR0913  a row and nothing else
    connection: Connection,
    now: datetime,
    *,
    kind: str,
    subject: str,
    message: str,
    run_id: int | None = None,
    batch_id: int | None = None,
    told: bool = False,
) -> bool:
    """Raise an alert, unless it was raised before; return whether it is new.

    `reconcile_batches` sends it to people, unless the caller does, which is `told` then.
    """
    values = {
        "kind": kind,
        "subject": subject,
        "message": message,
        "run_id": run_id,
        "batch_id": batch_id,
        "now": now,
        "told_at": now if told else None,
    }
    new = connection.execute(sql("raise_alert"), values).fetchone() is not None
    if new:
        _log.warning("%s: %s", kind, message)
    return new
