"""What every report says of how a run went, whatever its documents were asked for."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from backcast.domain.report import FirstAttempts, SkippedDocuments, UnansweredDocument
from backcast.ledger.connection import Connection, sql
from backcast.services.first_pass import first_pass_of_run

if TYPE_CHECKING:
    from backcast.ledger.connection import Row


def first_attempts(connection: Connection, run_id: int) -> FirstAttempts:
    """Return how the first requests of a run went."""
    by_language = first_pass_of_run(connection, run_id)
    return FirstAttempts(
        requests=sum(row.requests for row in by_language),
        accepted=sum(row.accepted for row in by_language),
        retries=sum(row.retries for row in by_language),
        retries_usd=sum((row.retries_usd for row in by_language), Decimal(0)),
    )


def unanswered(connection: Connection, run_id: int) -> tuple[UnansweredDocument, ...]:
    """Return the documents of a run that got no acceptable answer."""
    rows: list[Row] = connection.execute(sql("unanswered_documents"), {"run_id": run_id}).fetchall()
    return tuple(UnansweredDocument(**row) for row in rows)


def skipped(connection: Connection, run_id: int) -> tuple[SkippedDocuments, ...]:
    """Return why documents of a run were left out."""
    rows: list[Row] = connection.execute(sql("skipped_by_reason"), {"run_id": run_id}).fetchall()
    return tuple(SkippedDocuments(row["reason"], row["count"], tuple(row["examples"])) for row in rows)
