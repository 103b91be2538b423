"""Keeps all but the first batch of a run back until that one has shown whether the configuration is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backcast.domain.errors import HeldError, WaitsError
from backcast.domain.first_batch import is_wrong
from backcast.ledger.connection import Connection, Row, sql
from backcast.ledger.runs import brings_its_own
from backcast.services.alerts import raise_alert

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.services.open_run import Clock


def require_right_configuration(connection: Connection, clock: Clock, batch: Row) -> None:
    """Let a batch that waits for the first one of its run go when that one was read, or when it waited long enough.

    A person who lets the run go on after it was held has decided: it is not held for this again.

    Args:
        connection: not in a transaction.
        clock: tells the time in UTC.
        batch: a row of `batch`.

    Raises:
        WaitsError: the first batch was not read yet.
        HeldError: the first batch shows that the configuration is wrong; the run is held from now on.
    """
    if batch["held_until"] is None:
        return
    first = connection.execute(sql("first_batch"), batch).fetchone()
    if first is None:
        return
    if is_wrong(first["our_fault"], first["requests"]):
        _hold(connection, clock(), batch, first)
    elif first["awaited"] and clock() < batch["held_until"]:
        raise WaitsError(
            f"Batch {batch['batch_id']} waits until {batch['held_until']:%H:%M} UTC for the first {first['requests']} "
            f"requests of run {batch['run_id']}, which show whether the configuration is right."
        )


def _hold(connection: Connection, now: datetime, batch: Row, first: Row) -> None:
    run_id = batch["run_id"]
    reason = (
        f"{first['our_fault']} of its first {first['requests']} requests were wrong as they are, and would be again: "
        f"{first['detail']}"
    )
    what = "the requests" if brings_its_own(batch) else "the workflow"
    message = (
        f"Run {run_id} is held: {reason}. What it has not sent is not paid for. Mend {what}, then "
        f"`backcast cancel {run_id}` ends this run with what it has, and a new one asks for the rest; "
        f"`backcast resubmit {run_id}` sends the rest as it is."
    )
    with connection.transaction():
        new = raise_alert(
            connection, now, kind="wrong_configuration", subject=str(run_id), message=message, run_id=run_id
        )
        if new:
            connection.execute(sql("hold_run"), {"run_id": run_id, "reason": reason})
    if new:
        raise HeldError(message)
