"""Plans a round: packs the requests that wait for it into batches."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from backcast.domain.errors import InputError
from backcast.domain.first_batch import SIZE as FIRST_BATCH
from backcast.domain.first_batch import held_until
from backcast.domain.packing import MAX_REQUESTS, batch_sizes
from backcast.domain.wire_ids import slug
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.copy import stream
from backcast.ledger.runs import brings_its_own, load_run, lock_run
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.open_work import parts_of, stop_batching_if_late, weigh

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.services.open_run import Clock

FIRST_ROUND: Final = 1
# What fails in the last round is answered synchronously, or given up.
LAST_ROUND: Final = 2
# Asks for what other runs had claimed and gave up. It goes beside the others, and what fails in it ends as in the last.
INHERITED_ROUND: Final = 3
# What is answered synchronously because no batch could answer it any more.
RESCUE_ROUND: Final = 4
_NONCE_BYTES = 5


def plan_round(ledger: Ledger, clock: Clock, run_id: int, round_number: int) -> list[int]:
    """Return the ids of a round's batches, making them the first time; none when there is nothing to send.

    When it is too late for a batch, what waits for the round is to be answered synchronously instead.
    """
    with ledger.transaction() as connection:
        batches = plan_within(connection, clock(), run_id, round_number)
        reached(FaultPoint.PLAN_BEFORE_COMMIT)
    reached(FaultPoint.PLAN_COMMITTED)
    return batches


def plan_within(connection: Connection, now: datetime, run_id: int, round_number: int) -> list[int]:
    """Do what `plan_round` does, in a transaction of the caller's, which then holds the run."""
    lock_run(connection, run_id)
    run = load_run(connection, run_id)
    if run["dry_run"]:
        return []
    if run["canceled_at"] is None and not stop_batching_if_late(connection, now, run):
        _pack(connection, now, run, round_number)
    rows = connection.execute(sql("batches_of_round"), {"run_id": run_id, "round": round_number}).fetchall()
    return [row["batch_id"] for row in rows]


def _require_proved(connection: Connection, run: Row) -> None:
    """Refuse to submit what costs money by a prompt that no sample has shown to be good enough."""
    if run["simulated"] or brings_its_own(run):
        return
    row = connection.execute(sql("proved"), {"run_id": run["run_id"]}).fetchone()
    if not (row and row["proved"]):
        raise InputError(
            f"The prompt of run {run['run_id']} is not proved on a sample, so nothing is submitted. Put the task "
            "`gate` before its rounds, as batch_stages does."
        )


def _pack(connection: Connection, now: datetime, run: Row, round_number: int) -> None:
    key = {"run_id": run["run_id"], "round": round_number}
    waiting = [row["size"] for row in stream(connection, "unpacked_requests", key)]
    if waiting:
        _require_proved(connection, run)
    unresolved = connection.execute(sql("unresolved_sizes"), {"base_url": run["base_url"]}).fetchall()
    taken = {row["request_count"] for row in unresolved}
    # So that it can be canceled in parts when all of it cannot be answered synchronously at once.
    most = -(-len(waiting) // parts_of(connection, run)) if waiting else MAX_REQUESTS
    planned = connection.execute(sql("batches_of_round"), key).fetchall()
    until = None
    if round_number == FIRST_ROUND and not planned:
        until = held_until(now, weigh(connection, now, run).cutoffs.rebatch_until, len(waiting))
    sizes = batch_sizes(waiting, taken, max_requests=min(most, MAX_REQUESTS), first=FIRST_BATCH if until else None)
    for position, request_count in enumerate(sizes, start=len(planned)):
        batch = {**key, "position": position, "request_count": request_count, "replaces": None}
        batch |= {"held_until": until} if position else {}
        batch_id, nonce = insert_batch(connection, batch)
        connection.execute(
            sql("put_requests_into_batch"),
            {**batch, "batch_id": batch_id, "slug": slug(run["workflow"]), "nonce": nonce},
        )


def replace_batch(connection: Connection, over: Row) -> int:
    """Plan a batch that takes over the open requests of one that is over, under new ids.

    It is withdrawn at once when its run was canceled, or may not send them any more.

    Args:
        connection: in a transaction that holds the run.
        over: a batch that was refused, is proved not to have arrived, or was given up.
    """
    row = connection.execute(sql("open_requests_of_batch"), {"batch_id": over["batch_id"]}).fetchone()
    if row is None or not row["count"]:
        raise InputError(f"Batch {over['batch_id']} is {over['state']} and has no open requests to send again.")
    planned = {**over, "replaces": over["batch_id"], "request_count": row["count"]}
    batch_id, nonce = insert_batch(connection, planned)
    connection.execute(
        sql("move_requests"),
        {
            "batch_id": batch_id,
            "refused_batch_id": over["batch_id"],
            "slug": slug(over["workflow"]),
            "nonce": nonce,
        },
    )
    if over["run_canceled_at"] is not None or row["released"]:
        why = "the run was canceled" if over["run_canceled_at"] is not None else "another run has taken this over"
        withdraw(connection, over["run_id"], why)
    return batch_id


def withdraw(connection: Connection, run_id: int, why: str, now: datetime | None = None) -> list[int]:
    """Withdraw what a run has not sent, and release its claims on it; returns the ids of the withdrawn batches.

    Args:
        connection: in a transaction that holds the run.
        run_id: the run.
        why: is noted with the batches.
        now: the time in UTC; with it, what a dead task was asking synchronously is released too.
    """
    withdrawn = connection.execute(sql("withdraw_batches"), {"run_id": run_id, "note": why}).fetchall()
    release(connection, run_id, now)
    return [row["batch_id"] for row in withdrawn]


def release(connection: Connection, run_id: int, now: datetime | None = None) -> None:
    """Release a run's claims on what is not at the API, and on what was split into nothing but that.

    Args:
        connection: in a transaction that holds the run.
        run_id: the run.
        now: as in `withdraw`.
    """
    connection.execute(sql("release_claims"), {"run_id": run_id, "now": now})
    connection.execute(sql("release_split"), {"run_id": run_id})


def insert_batch(connection: Connection, batch: Row) -> tuple[int, str]:
    """Plan a batch and return its id and its nonce; a nonce already used fails on the ledger's constraint."""
    nonce = secrets.token_hex(_NONCE_BYTES)
    row = connection.execute(sql("insert_batch"), {"held_until": None, **batch, "nonce": nonce}).fetchone()
    if row is None:
        raise AssertionError("INSERT … RETURNING gave no row")
    return row["batch_id"], nonce
