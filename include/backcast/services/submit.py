"""Submits a batch: intent, create once, confirm. What has no known end is held, never simply sent again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import orjson

from backcast.anthropic_api.batches import ApiBatch, MessageBatchesApi, RefusedError
from backcast.domain.errors import ApiError, InDoubtError, InputError
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.copy import stream
from backcast.services.prompts import request_builder
from backcast.services.rounds import replace_refused_batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.services.open_run import Clock

SEND_WITHIN: Final = timedelta(minutes=2)
CREATE_TIMEOUT: Final = timedelta(minutes=10)
_CHUNK_BYTES = 64 * 1024
_SENT = ("submitted", "ended", "ingested")


def submit(ledger: Ledger, api: MessageBatchesApi, clock: Clock, batch_id: int) -> int:
    """Send a planned batch and return the id of the batch that now stands for it.

    Called again for a batch that was sent, it only finds it again. One that was refused is replaced by a new intent.

    Raises:
        RefusedError: the API refused it; nothing was accepted, and a later call may send it.
        InDoubtError: it may have been accepted; it is held.
        ApiError: somebody else is sending it just now.
    """
    with ledger.connect() as connection:
        batch = _current(connection, batch_id)
        current_id = int(batch["batch_id"])
        if batch["state"] in _SENT:
            return current_id
        _require_known_end(batch)
        _hold(connection, current_id)
        # Read again under the lock: whoever held it before may have sent it.
        batch = _load(connection, current_id)
        if batch["state"] in _SENT:
            return current_id
        if batch["state"] == "refused":
            return submit(ledger, api, clock, current_id)
        if batch["state"] == "intended":
            _doubt(connection, current_id, "the task that sent it died before it wrote down the answer")
            batch = _load(connection, current_id)
        _require_known_end(batch)
        _intend(connection, api, clock, batch)
        _create(connection, api, clock, _load(connection, current_id))
        return current_id


def _current(connection: Connection, batch_id: int) -> Row:
    row = connection.execute(sql("latest_batch"), {"batch_id": batch_id}).fetchone()
    if row is None or row["batch_id"] is None:
        raise InputError(f"The ledger has no batch {batch_id}.")
    batch = _load(connection, row["batch_id"])
    if batch["state"] != "refused":
        return batch
    with connection.transaction():
        connection.execute(sql("lock_run"), {"run_id": batch["run_id"]})
        # Again under the lock: another task may have replaced it meanwhile.
        latest = connection.execute(sql("latest_batch"), {"batch_id": batch_id}).fetchone() or row
        if latest["batch_id"] != batch["batch_id"]:
            return _load(connection, latest["batch_id"])
        return _load(connection, replace_refused_batch(connection, batch))


def _load(connection: Connection, batch_id: int) -> Row:
    row = connection.execute(sql("batch"), {"batch_id": batch_id}).fetchone()
    if row is None:
        raise InputError(f"The ledger has no batch {batch_id}.")
    return row


def _require_known_end(batch: Row) -> None:
    if batch["state"] == "in_doubt":
        raise InDoubtError(
            f"Batch {batch['batch_id']} of run {batch['run_id']} is in doubt: {batch['note']}. It may have been "
            "accepted, and paid for, so it is not sent again. Look for it in the Console's list of batches: it has "
            f"{batch['request_count']} requests and was sent after {batch['intended_at']:%Y-%m-%d %H:%M:%S} UTC; the "
            f"custom_ids of its results contain {batch['nonce']}."
        )


def _hold(connection: Connection, batch_id: int) -> None:
    # The lock belongs to the connection, so it ends with the process that holds it, however that ends.
    row = connection.execute(sql("try_lock_batch"), {"batch_id": batch_id}).fetchone()
    if not (row and row["locked"]):
        raise ApiError(f"Batch {batch_id} is being sent by another task just now. Try again in a minute.")


def _intend(connection: Connection, api: MessageBatchesApi, clock: Clock, batch: Row) -> None:
    server_time = api.preflight(batch["model"]).server_time
    now = clock()
    connection.execute(
        sql("intend_batch"),
        {
            "batch_id": batch["batch_id"],
            "base_url": api.base_url,
            "key_fingerprint": api.key_fingerprint,
            "server_time": server_time,
            "now": now,
            "send_by": now + SEND_WITHIN,
        },
    )


def _create(connection: Connection, api: MessageBatchesApi, clock: Clock, batch: Row) -> None:
    batch_id = batch["batch_id"]
    if clock() >= batch["send_by"]:
        connection.execute(sql("refuse_batch"), {"batch_id": batch_id, "note": "not sent: send_by had passed"})
        raise ApiError(f"Batch {batch_id} was not sent within {SEND_WITHIN} of its intent. Run the task again.")
    try:
        with connection.transaction():
            created = api.create(request_body(connection, batch), CREATE_TIMEOUT)
    except RefusedError as error:
        connection.execute(sql("refuse_batch"), {"batch_id": batch_id, "note": str(error)})
        raise
    except InDoubtError as error:
        _doubt(connection, batch_id, str(error))
        _require_known_end(_load(connection, batch_id))
    else:
        _confirm(connection, clock, batch_id, created)


def _doubt(connection: Connection, batch_id: int, why: str) -> None:
    connection.execute(sql("doubt_batch"), {"batch_id": batch_id, "note": why})


def _confirm(connection: Connection, clock: Clock, batch_id: int, created: ApiBatch) -> None:
    connection.execute(
        sql("confirm_batch"),
        {
            "batch_id": batch_id,
            "api_batch_id": created.api_batch_id,
            "expires_at": created.expires_at,
            "now": clock(),
        },
    )


def request_body(connection: Connection, batch: Row) -> Iterator[bytes]:
    """Stream the body of a batch's create call, in pieces of about 64 KB."""
    build = request_builder(
        model=batch["model"],
        system_template=batch["system_template"],
        document_template=batch["document_template"],
        answer_schema=batch["answer_schema"],
    )
    buffer = bytearray(b'{"requests":[')
    rows = stream(connection, "requests_to_send", {"batch_id": batch["batch_id"]}, at_a_time=50)
    for index, row in enumerate(rows):
        params = build(row["path"], row["language"], row["content_hash"], row["body"], row["max_tokens"])
        buffer += b"," if index else b""
        buffer += orjson.dumps({"custom_id": row["wire_id"], "params": params})
        if len(buffer) >= _CHUNK_BYTES:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer + b"]}")
