"""Reserves money before anything is sent: for a run and for a month, at the most that each request can cost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from backcast.domain.failures import Variant
from backcast.domain.pricing import BATCH_SHARE, BYTES_A_TOKEN
from backcast.ledger.connection import Connection, Row, sql
from backcast.ledger.copy import copy_in
from backcast.ledger.runs import brings_its_own
from backcast.services.caching import costs_of
from backcast.services.estimate import prompt_bytes
from backcast.settings import load_model, model_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal


def reserve(connection: Connection, run: Row) -> None:
    """Reserve the money for each request of a run that has none reserved; leave out what the budget does not cover.

    First come those that are to be answered first, and the small ones.

    Args:
        connection: in a transaction; the workflow's budget is held until it ends.
        run: the run.
    """
    if run["dry_run"]:
        return
    key = {"run_id": run["run_id"]}
    connection.execute(sql("lock_budget"), {"workflow": run["workflow"]})
    if brings_its_own(run):
        _reserve_for_requests(connection, run)
        return
    unreserved = connection.execute(sql("unreserved_requests"), key).fetchall()
    if not unreserved:
        return
    committed = connection.execute(sql("committed_money"), key).fetchone() or {}
    connection.execute(sql("create_reservations"))
    copy_in(connection, "copy_reservations", _reservations(run, unreserved, _limits(run, committed)))
    connection.execute(sql("store_reservations"))
    connection.execute(sql("drop_reservations"))


def _reserve_for_requests(connection: Connection, run: Row) -> None:
    """Reserve by one statement, since there may be very many: first come those that stand first in their file."""
    key = {"run_id": run["run_id"]}
    committed = connection.execute(sql("committed_money"), key).fetchone() or {}
    limits = _limits(run, committed)
    least = min(limits, key=lambda limit: limit.left, default=None)
    prices = [
        {"model": name, "input": max(price.input for price in prices), "output": max(price.output for price in prices)}
        for name in model_names()
        for prices in [load_model(name).prices]
    ]
    connection.execute(
        sql("reserve_for_requests"),
        {
            **key,
            "prices": json.dumps(prices, default=str),
            "bytes_a_token": BYTES_A_TOKEN,
            "batch_share": BATCH_SHARE,
            "left": least.left if least else None,
            "why": f"budget: the {least.told} does not cover this request" if least else None,
        },
    )


# In bytes: more of it is not kept.
_MOST_SHOWN_OF_AN_ERROR: Final = 12_000


@dataclass(slots=True)
class _Limit:
    """What is left of a limit, and how it is told; one for retries counts only those."""

    left: Decimal
    told: str
    retries_only: bool = False

    def holds_for(self, row: Row) -> bool:
        return row["retry"] or not self.retries_only


def _limits(run: Row, committed: Row) -> list[_Limit]:
    limits = [
        (run["max_usd"], committed["run_usd"], "of this run", False),
        (run["max_usd_for_retries"], committed["retries_usd"], "of this run for trying again", True),
        (run["max_usd_a_month"], committed["month_usd"], "of this workflow for the month", False),
    ]
    return [
        _Limit(most - spent, f"US$ {most:f} {whose}", only) for most, spent, whose, only in limits if most is not None
    ]


def _reservations(run: Row, unreserved: list[Row], limits: list[_Limit]) -> Iterator[tuple[Any, ...]]:
    costs = costs_of(run)
    example = longest_example(run)
    for row in unreserved:
        shown = row["prompt_bytes"] + (example if row["variant"] == Variant.WORKED_EXAMPLE else 0)
        if row["variant"] == Variant.REPAIR:
            # The answer that is shown again, which may have been as long as this one, and what is wrong with it.
            shown += int(row["max_tokens"] * BYTES_A_TOKEN) + _MOST_SHOWN_OF_AN_ERROR
        most = costs.most_usd(shown, row["max_tokens"], synchronous=row["synchronous"])
        own = [limit for limit in limits if limit.holds_for(row)]
        short = next((limit.told for limit in own if most > limit.left), None)
        if short is None:
            for limit in own:
                limit.left -= most
        yield row["request_id"], most, f"budget: the {short} does not cover this request" if short else None


def longest_example(run: Row) -> int:
    """Return the bytes of the longest worked example of a run's prompt version, 0 when it has none."""
    examples = run["examples"].values()
    return max((prompt_bytes(shown["document"]) + len(shown["answer"].encode()) for shown in examples), default=0)
