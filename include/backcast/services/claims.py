"""Claims: a content that one run has asked for is not asked for by another, which waits for that answer instead.

A request holds its claim from when it is made until it is answered or given up; a child takes it over from its parent.
Whoever waits asks itself when the claim is released without an answer. A run never waits before its own requests go
on, so two runs cannot wait for each other.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from backcast.ledger.connection import Connection, Ledger, sql
from backcast.ledger.runs import load_run, lock_run
from backcast.services.budget import reserve
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.holds import goes_on
from backcast.services.merge import merge_parts
from backcast.services.rounds import INHERITED_ROUND, withdraw

if TYPE_CHECKING:
    from backcast.services.open_run import Clock

# What is not answered elsewhere by then is listed as unanswered, so that the report is there by the deadline.
PUBLISH_WITHIN: Final = timedelta(minutes=30)


def await_claims(ledger: Ledger, clock: Clock, run_id: int) -> dict[int, int]:
    """Reuse what other runs have answered, and ask for what they gave up; safe to call again.

    Returns:
        How many documents other runs still have in flight, by their run ids; empty when there is nothing to wait for.
        What was asked for is then to be planned as the round `INHERITED_ROUND`.
    """
    with ledger.transaction() as connection:
        lock_run(connection, run_id)
        run = load_run(connection, run_id)
        if not goes_on(run):
            return {}
        take_over(connection, clock, run_id)
        connection.execute(sql("reuse_answers"), {"run_id": run_id})
        elsewhere = _elsewhere(connection, run_id)
        if not elsewhere:
            claim(connection, run_id, INHERITED_ROUND)
            # Another run may have been faster, and is now waited for.
            elsewhere = _elsewhere(connection, run_id)
        reached(FaultPoint.CLAIM_BEFORE_COMMIT)
    reached(FaultPoint.CLAIM_COMMITTED)
    return elsewhere if clock() < run["deadline"] - PUBLISH_WITHIN else {}


def told(elsewhere: dict[int, int]) -> str:
    """Say what `await_claims` returned."""
    return ", ".join(f"{count} documents that run {run_id} asked for" for run_id, count in elsewhere.items())


def claim(connection: Connection, run_id: int, round_number: int) -> None:
    """Make a request for each content of a run that has no answer and that no other run has claimed."""
    ask(connection, run_id, round_number)
    reserve(connection, load_run(connection, run_id))


def ask(connection: Connection, run_id: int, round_number: int) -> None:
    """Make these requests, and leave it to the caller to reserve their money."""
    connection.execute(sql("create_root_requests"), {"run_id": run_id, "round": round_number})


def take_over(connection: Connection, clock: Clock, run_id: int) -> None:
    """Release what this run wants from runs that nobody works on any more; what they have in flight stays theirs.

    Before answers are reused, since what such a run had of parts only is merged first.
    """
    connection.execute(sql("release_unresolved_claims"), {"now": clock()})
    connection.execute(sql("release_left_samples"), {"now": clock()})
    for left in connection.execute(sql("claims_of_left_runs"), {"run_id": run_id, "now": clock()}).fetchall():
        lock_run(connection, left["run_id"])
        merge_parts(connection, clock(), load_run(connection, left["run_id"]))
        withdraw(connection, left["run_id"], f"run {run_id} has taken over what this run left", clock())


def _elsewhere(connection: Connection, run_id: int) -> dict[int, int]:
    rows = connection.execute(sql("claimed_elsewhere"), {"run_id": run_id}).fetchall()
    return {row["run_id"]: row["documents"] for row in rows}
