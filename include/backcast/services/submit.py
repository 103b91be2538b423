"""Submits a batch: intent, create once, confirm. What has no known end is held, never simply sent again."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import psycopg

from backcast.anthropic_api.batches import ApiBatch, MessageBatchesApi, RefusedError
from backcast.domain.errors import ApiError, InDoubtError, InputError, LedgerError, WaitsError
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.copy import stream
from backcast.ledger.runs import load_run, lock_run
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.first_batch import require_right_configuration
from backcast.services.holds import require_not_held
from backcast.services.kinds import sender
from backcast.services.locks import held_batch
from backcast.services.open_work import stop_batching_if_late
from backcast.services.rounds import replace_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from backcast.services.open_run import Clock

SEND_WITHIN: Final = timedelta(minutes=2)
CREATE_TIMEOUT: Final = timedelta(minutes=10)
_CLOCKS_DIFFER_BY = timedelta(hours=1)
_CHUNK_BYTES = 64 * 1024
# What was sent has a known end, and what was withdrawn is never sent.
_SETTLED = ("submitted", "ended", "ingested", "withdrawn")
# Nothing of these is at the API, as far as can be known, so a new intent may take over their requests.
_REPLACED = ("refused", "not_arrived", "given_up")
_log = logging.getLogger(__name__)


def submit(ledger: Ledger, api: MessageBatchesApi, clock: Clock, batch_id: int) -> int:
    """Send a planned batch and return the id of the batch that now stands for it.

    Called again for a batch that was sent, it only finds it again. One that was refused, or is proved not to have
    arrived, is replaced by a new intent.

    Raises:
        RefusedError: the API refused it; nothing was accepted, and a later call may send it.
        InDoubtError: it may have been accepted; it is held until it is known what became of it.
        HeldError: its run is held, since now perhaps, when its first batch shows that the configuration is wrong.
        WaitsError: it has to wait for another intent of its size, or for the first batch of its run.
        ApiError: somebody else is sending it just now.
    """
    with ledger.connect() as connection:
        batch = _current(connection, batch_id)
        current_id = int(batch["batch_id"])
        if _is_settled(batch):
            return current_id
        _require_known_end(batch)
        with held_batch(connection, current_id):
            # Read again under the lock: whoever held it before may have sent it.
            batch = _load(connection, current_id)
            if not _is_settled(batch) and batch["state"] not in _REPLACED:
                _send(ledger, connection, api, clock, batch)
                return current_id
    return current_id if _is_settled(batch) else submit(ledger, api, clock, current_id)


def _is_settled(batch: Row) -> bool:
    # What nobody awaits from it any more is answered synchronously, or left unanswered.
    return batch["state"] in _SETTLED or bool(batch["nothing_awaited"])


def _send(ledger: Ledger, connection: Connection, api: MessageBatchesApi, clock: Clock, batch: Row) -> None:
    batch_id = batch["batch_id"]
    if batch["state"] == "intended":
        doubt_dead_sender(connection, batch_id)
        batch = _load(connection, batch_id)
    _require_known_end(batch)
    require_not_held(batch)
    if _is_late(connection, clock, batch["run_id"]):
        _log.warning("It is too late for batch %s: what it holds is answered synchronously.", batch_id)
        return
    require_right_configuration(connection, clock, batch)
    _intend(connection, api, clock, batch)
    batch = _load(connection, batch_id)
    if batch["state"] == "intended":
        _create(ledger, connection, api, clock, batch)


def _is_late(connection: Connection, clock: Clock, run_id: int) -> bool:
    with connection.transaction():
        lock_run(connection, run_id)
        return stop_batching_if_late(connection, clock(), load_run(connection, run_id))


def doubt_dead_sender(connection: Connection, batch_id: int) -> None:
    """Hold an intent whose sender is gone; only whoever holds the batch's lock knows that it is."""
    _doubt(connection, batch_id, "the task that sent it died before it wrote down the answer")


def _current(connection: Connection, batch_id: int) -> Row:
    row = connection.execute(sql("latest_batch"), {"batch_id": batch_id}).fetchone()
    if row is None or row["batch_id"] is None:
        raise InputError(f"The ledger has no batch {batch_id}.")
    batch = _load(connection, row["batch_id"])
    if batch["state"] not in _REPLACED or batch["nothing_awaited"]:
        return batch
    require_not_held(batch)
    with connection.transaction():
        connection.execute(sql("lock_run"), {"run_id": batch["run_id"]})
        # Again under the lock: another task may have replaced it meanwhile.
        latest = connection.execute(sql("latest_batch"), {"batch_id": batch_id}).fetchone() or row
        if latest["batch_id"] != batch["batch_id"]:
            return _load(connection, latest["batch_id"])
        return _load(connection, replace_batch(connection, _load(connection, batch["batch_id"])))


def _load(connection: Connection, batch_id: int) -> Row:
    row = connection.execute(sql("batch"), {"batch_id": batch_id}).fetchone()
    if row is None:
        raise InputError(f"The ledger has no batch {batch_id}.")
    return row


def _require_known_end(batch: Row) -> None:
    if batch["state"] == "in_doubt":
        raise InDoubtError(
            f"Batch {batch['batch_id']} of run {batch['run_id']} is in doubt: {batch['note'].rstrip('.')}. It may have "
            "been accepted, and paid for, so it is not sent again. `backcast reconcile` looks for it, as the DAG "
            f"reconcile_batches does: it has {batch['request_count']} requests, was sent after "
            f"{batch['intended_at']:%Y-%m-%d %H:%M:%S} UTC, and the custom_ids of its results contain {batch['nonce']}."
        )


def _intend(connection: Connection, api: MessageBatchesApi, clock: Clock, batch: Row) -> None:
    reached(FaultPoint.SUBMIT_BEFORE_INTENT)
    now = clock()
    # The mark below which no batch can be ours; without the server's own clock it lies well before ours.
    server_time = api.preflight(batch["model"]).server_time or now - _CLOCKS_DIFFER_BY
    try:
        connection.execute(
            sql("intend_batch"),
            {
                "batch_id": batch["batch_id"],
                **api.workspace,
                "server_time": server_time,
                "now": now,
                "send_by": now + SEND_WITHIN,
            },
        )
    except psycopg.errors.UniqueViolation as error:
        raise WaitsError(
            f"Batch {batch['batch_id']} waits: another batch of {batch['request_count']} requests has no known end "
            "yet, and of two alike nobody could tell which one a running batch is. It is sent when that one is settled."
        ) from error
    reached(FaultPoint.SUBMIT_INTENDED)


def _create(ledger: Ledger, connection: Connection, api: MessageBatchesApi, clock: Clock, batch: Row) -> None:
    batch_id = batch["batch_id"]
    if clock() >= batch["send_by"]:
        connection.execute(sql("refuse_batch"), {"batch_id": batch_id, "note": "not sent: send_by had passed"})
        raise ApiError(f"Batch {batch_id} was not sent within {SEND_WITHIN} of its intent. Run the task again.")
    try:
        with connection.transaction():
            created = api.create(request_body(connection, batch), CREATE_TIMEOUT)
    except RefusedError as error:
        connection.execute(sql("refuse_batch"), {"batch_id": batch_id, "note": str(error)})
        reached(FaultPoint.SUBMIT_REFUSED)
        raise
    except InDoubtError as error:
        _doubt(connection, batch_id, str(error))
        reached(FaultPoint.SUBMIT_IN_DOUBT)
        _require_known_end(_load(connection, batch_id))
    else:
        reached(FaultPoint.SUBMIT_CREATED)
        _confirm(ledger, connection, clock, batch_id, created)
        reached(FaultPoint.SUBMIT_CONFIRMED)


def _doubt(connection: Connection, batch_id: int, why: str) -> None:
    connection.execute(sql("doubt_batch"), {"batch_id": batch_id, "note": why})


def _confirm(ledger: Ledger, connection: Connection, clock: Clock, batch_id: int, created: ApiBatch) -> None:
    try:
        confirm(connection, clock(), batch_id, created)
    except psycopg.OperationalError:
        try:
            with ledger.connect() as another:
                confirm(another, clock(), batch_id, created)
        except LedgerError:
            _log.error(
                "Batch %s was accepted as %s, which the ledger could not be told. It is found again by its results.",
                batch_id,
                created.api_batch_id,
            )
            raise


def confirm(connection: Connection, now: datetime, batch_id: int, created: ApiBatch) -> None:
    """Write down what the API calls a batch."""
    connection.execute(
        sql("confirm_batch"),
        {
            "batch_id": batch_id,
            "api_batch_id": created.api_batch_id,
            "expires_at": created.expires_at,
            "now": now,
        },
    )


def unsent(connection: Connection, batch_id: int) -> Row | None:
    """Return the batch that `submit` would send for a planned one, in a transaction that holds its run.

    None when that was sent, is being sent, or has no known end.
    """
    batch = _current(connection, batch_id)
    return batch if batch["state"] == "planned" and not batch["nothing_awaited"] else None


def request_body(connection: Connection, batch: Row) -> Iterator[bytes]:
    """Stream the body of a batch's create call, in pieces of about 64 KB."""
    return body_of(requests_of(connection, batch))


def requests_of(connection: Connection, batch: Row) -> Iterator[tuple[str, bytes]]:
    """Yield the requests of a batch as its create call has them: the `custom_id`, and the JSON of `params`."""
    params_of = sender(batch)
    for row in stream(connection, "requests_to_send", {"batch_id": batch["batch_id"]}, at_a_time=50):
        yield row["wire_id"], params_of(row)


def body_of(requests: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """Yield the body of a create call with these requests, in pieces of about 64 KB."""
    buffer = bytearray(b'{"requests":[')
    for index, (custom_id, params) in enumerate(requests):
        buffer += b"," if index else b""
        buffer += b'{"custom_id":"%s","params":%s}' % (custom_id.encode(), params)
        if len(buffer) >= _CHUNK_BYTES:
            yield bytes(buffer)
            buffer.clear()
            reached(FaultPoint.SUBMIT_SENDING)
    yield bytes(buffer + b"]}")
