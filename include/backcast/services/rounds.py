"""Plans a round: packs the requests that wait for it into batches."""

from __future__ import annotations

import secrets

from backcast.domain.packing import pack
from backcast.domain.wire_ids import slug
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.copy import copy_in_chunks, stream
from backcast.ledger.runs import load_run, lock_run

_NONCE_BYTES = 5


def plan_round(ledger: Ledger, run_id: int, round_number: int) -> list[int]:
    """Return the ids of a round's batches, making them the first time; none when there is nothing to send."""
    with ledger.transaction() as connection:
        lock_run(connection, run_id)
        run = load_run(connection, run_id)
        if run["dry_run"]:
            return []
        _pack(connection, run, round_number)
        rows = connection.execute(sql("batches_of_round"), {"run_id": run_id, "round": round_number}).fetchall()
    return [row["batch_id"] for row in rows]


def _pack(connection: Connection, run: Row, round_number: int) -> None:
    key = {"run_id": run["run_id"], "round": round_number}
    connection.execute(sql("create_packed"))
    sizes = ((row["request_id"], row["size"]) for row in stream(connection, "unpacked_requests", key))
    copy_in_chunks(connection, "copy_packed", pack(sizes))
    for row in connection.execute(sql("packed_counts")).fetchall():
        batch = {**key, "position": row["batch_position"], "request_count": row["request_count"], "replaces": None}
        batch_id, nonce = insert_batch(connection, batch)
        connection.execute(
            sql("put_requests_into_batch"),
            {
                "batch_id": batch_id,
                "slug": slug(run["workflow"]),
                "nonce": nonce,
                "batch_position": row["batch_position"],
            },
        )


def replace_refused_batch(connection: Connection, refused: Row) -> int:
    """Plan a batch that takes over the requests of one that the API refused, under new ids."""
    batch_id, nonce = insert_batch(connection, {**refused, "replaces": refused["batch_id"]})
    connection.execute(
        sql("move_requests"),
        {
            "batch_id": batch_id,
            "refused_batch_id": refused["batch_id"],
            "slug": slug(refused["workflow"]),
            "nonce": nonce,
        },
    )
    return batch_id


def insert_batch(connection: Connection, batch: Row) -> tuple[int, str]:
    """Plan a batch and return its id and its nonce; a nonce already used fails on the ledger's constraint."""
    nonce = secrets.token_hex(_NONCE_BYTES)
    row = connection.execute(sql("insert_batch"), {**batch, "nonce": nonce}).fetchone()
    if row is None:
        raise AssertionError("INSERT … RETURNING gave no row")
    return row["batch_id"], nonce
