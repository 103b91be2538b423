"""What every report says of how a run went, whatever its documents were asked for."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from backcast.domain.report import FirstAttempts, SkippedDocuments, Spend, Totals, UnansweredDocument
from backcast.ledger.connection import Connection, sql
from backcast.services.first_pass import first_pass_of_run
from backcast.services.lineages import retried_documents

if TYPE_CHECKING:
    from backcast.ledger.connection import Row


def told_of_every_run(connection: Connection, run: Row) -> dict[str, Any]:
    """Return what the report of any run says, by the names that all kinds of report have for it.

    Args:
        connection: in the transaction that publishes the run.
        run: the run, all of whose documents are settled, with the moment at which it is published.
    """
    run_id = run["run_id"]
    key = {"run_id": run_id}
    of_run = ("workflow", "run_id", "model", "prompt_version", "simulated", "opened_at", "published_at", "deadline")
    return {
        **{name: run[name] for name in (*of_run, "interim")},
        "totals": Totals(**(connection.execute(sql("totals_of_run"), key).fetchone() or {})),
        "spend": Spend(**(connection.execute(sql("spend_of_run"), key).fetchone() or {})),
        "first_attempts": first_attempts(connection, run_id),
        "skipped": skipped(connection, run_id),
        "retried": tuple(retried_documents(connection, run_id)),
    }


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
