"""What a wait needs to know of its batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backcast.domain.errors import InDoubtError
from backcast.ledger.connection import Ledger, sql

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class AwaitedBatch:
    """A submitted batch; `ended` when the ledger knows that the API has ended it."""

    batch_id: int
    api_batch_id: str
    submitted_at: datetime
    ended: bool


def awaited_batch(ledger: Ledger, batch_id: int) -> AwaitedBatch:
    """Return what to wait for.

    Raises:
        InDoubtError: the batch has no id at the API, so there is nothing to wait for.
    """
    with ledger.connect() as connection:
        row = connection.execute(sql("batch"), {"batch_id": batch_id}).fetchone()
    if row is None or row["api_batch_id"] is None:
        state = row["state"] if row else "unknown"
        raise InDoubtError(f"Batch {batch_id} is {state}: there is nothing to wait for. Clear its submit task.")
    return AwaitedBatch(batch_id, row["api_batch_id"], row["submitted_at"], row["state"] in ("ended", "ingested"))
