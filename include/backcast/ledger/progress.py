"""Where a run stands, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backcast.ledger.connection import Ledger, sql

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal


@dataclass(frozen=True, slots=True)
class RunProgress:
    """A run in figures; `findings`, `report_path` and the outcomes are known once it is published."""

    run_id: int
    state: str
    deadline: datetime
    batches: int
    batches_ended: int
    requests: int
    requests_answered: int
    documents: int
    report_path: str | None
    findings: int | None
    cost_usd: Decimal
    synchronous_usd: Decimal
    answered: int | None
    reused: int | None
    skipped: int | None
    unanswered: int | None
    api_batch_ids: list[str]


def read_progress(dsn: str, external_key: str) -> RunProgress | None:
    """Return how far the run with this external key is, or None while it has not been opened."""
    with Ledger(dsn).connect() as connection:
        row = connection.execute(sql("progress"), {"external_key": external_key}).fetchone()
    if row is None:
        return None
    row["api_batch_ids"] = row["api_batch_ids"] or []
    if row["state"] != "published":
        row["findings"] = None
    return RunProgress(**row)
