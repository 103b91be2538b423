"""The review lane: what was given up and would fail again, for a person to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import orjson

from backcast.domain.errors import InputError
from backcast.domain.failures import REVIEWED
from backcast.ledger.connection import Connection, Ledger, Row, sql

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.services.open_run import Clock


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """An item with what was asked about its document, by column name, and what came back as JSON text, `raw`."""

    item: Row
    attempts: list[Row]


def open_items(connection: Connection, now: datetime, run_id: int) -> None:
    """Put what a run gave up into the lane; its content is not asked about again until somebody decides.

    Args:
        connection: in the transaction that settles the run's documents.
        now: the time in UTC.
        run_id: the run.
    """
    causes = sorted(REVIEWED)
    connection.execute(sql("open_review_items"), {"run_id": run_id, "now": now, "causes": causes})


def review_lane_file(connection: Connection, run_id: int) -> bytes | None:
    """Return what a run put into the lane as JSON, with what was asked and what came back; None when it put nothing."""
    rows = connection.execute(sql("review_items_of_run"), {"run_id": run_id}).fetchall()
    return orjson.dumps({"run_id": run_id, "items": rows}, option=orjson.OPT_INDENT_2) if rows else None


def list_items(ledger: Ledger, *, everything: bool) -> list[Row]:
    """Return the open items, or also those that were decided."""
    with ledger.connect() as connection:
        return connection.execute(sql("review_items"), {"item_id": None, "everything": everything}).fetchall()


def show_item(ledger: Ledger, item_id: int) -> ReviewItem:
    """Return an item with all that was asked about its document.

    Raises:
        InputError: there is no such item.
    """
    key = {"item_id": item_id, "everything": False}
    with ledger.connect() as connection:
        item = connection.execute(sql("review_items"), key).fetchone()
        if item is None:
            raise _unknown(item_id)
        return ReviewItem(item, connection.execute(sql("review_attempts"), key).fetchall())


def decide_item(
    ledger: Ledger, clock: Clock, item_id: int, state: Literal["retry", "dismissed"], note: str | None = None
) -> None:
    """Let the next run ask again, or leave the document out until its content, prompt or model changes.

    Raises:
        InputError: there is no such item, or it was decided so before.
    """
    values = {"item_id": item_id, "state": state, "note": note, "now": clock()}
    with ledger.connect() as connection:
        item = connection.execute(sql("review_items"), {"item_id": item_id, "everything": False}).fetchone()
        if item is None:
            raise _unknown(item_id)
        if connection.execute(sql("decide_review_item"), values).fetchone() is None:
            raise InputError(f"Item {item_id} is {item['state']} already: there is nothing to decide.")


def _unknown(item_id: int) -> InputError:
    return InputError(f"The review lane has no item {item_id}. `backcast review-lane list --all` lists them.")
