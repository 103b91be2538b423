"""How many requests are accepted at the first attempt, why the others are not, and what trying again costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from backcast.ledger.connection import Connection, Ledger, sql

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from decimal import Decimal

    from backcast.services.open_run import Clock


@dataclass(frozen=True, slots=True)
class FirstPass:
    """What became of the first requests about documents of one language, by one prompt version of a workflow.

    Attributes:
        workflow: its name.
        prompt_version: the prompt's version.
        language: of the documents.
        requests: how many first requests have come back.
        accepted: how many of them were accepted.
        causes: how many were not, by cause.
        retries: how many requests tried again.
        retries_usd: what those cost.
    """

    workflow: str
    prompt_version: str
    language: str
    requests: int
    accepted: int
    causes: Mapping[str, int]
    retries: int
    retries_usd: Decimal

    @property
    def rate(self) -> float:
        """The share that was accepted at the first attempt, 0 to 1."""
        return self.accepted / self.requests

    def row(self) -> dict[str, Any]:
        """Return it by column name, with its rate."""
        return {**asdict(self), "rate": round(self.rate, 3)}


def first_pass(ledger: Ledger, clock: Clock, within: timedelta) -> list[FirstPass]:
    """Return the first-pass rates of the runs that were opened within a time up to now."""
    with ledger.connect() as connection:
        return _first_pass(connection, run_id=None, since=clock() - within)


def first_pass_of_run(connection: Connection, run_id: int) -> list[FirstPass]:
    """Return the first-pass rates of a run, by language."""
    return _first_pass(connection, run_id=run_id, since=None)


def _first_pass(connection: Connection, **parameters: object) -> list[FirstPass]:
    return [FirstPass(**row) for row in connection.execute(sql("first_pass"), parameters).fetchall()]
