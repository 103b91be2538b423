"""How the documents of a run that failed at first came to their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backcast.domain.lineage import Step, told
from backcast.domain.report import Retried
from backcast.ledger.connection import Connection, sql

if TYPE_CHECKING:
    from collections.abc import Iterator


def retried_documents(connection: Connection, run_id: int) -> Iterator[Retried]:
    """Yield the documents of a run about which more than one request was made, or whose request failed, by path."""
    for row in connection.execute(sql("lineages_of_run"), {"run_id": run_id}).fetchall():
        steps = [Step(**step) for step in row["steps"]]
        yield Retried(row["path"], row["outcome"] == "answered", told(steps, row["left_because"]))
