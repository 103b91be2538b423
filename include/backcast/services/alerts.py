"""Alerts: said once for each kind and subject, as a row of the ledger and a line in the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from backcast.ledger.connection import Connection, sql

if TYPE_CHECKING:
    from datetime import datetime

_log = logging.getLogger(__name__)


def raise_alert(  # noqa: PLR0913  a row and nothing else
    connection: Connection,
    now: datetime,
    *,
    kind: str,
    subject: str,
    message: str,
    run_id: int | None = None,
    batch_id: int | None = None,
) -> bool:
    """Raise an alert, unless it was raised before; return whether it is new, so that it is sent to people once."""
    values = {
        "kind": kind,
        "subject": subject,
        "message": message,
        "run_id": run_id,
        "batch_id": batch_id,
        "now": now,
    }
    new = connection.execute(sql("raise_alert"), values).fetchone() is not None
    if new:
        _log.warning("%s: %s", kind, message)
    return new
