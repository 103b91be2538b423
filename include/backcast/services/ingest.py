"""Ingests an ended batch: every row is stored once, counted off, and judged before it is believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from backcast.domain.errors import ApiError, InDoubtError, InputError
from backcast.domain.pricing import Model, Usage, batch_cost, synchronous_cost
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.copy import copy_in, copy_in_chunks, stream
from backcast.services.acceptance import Judge
from backcast.settings import load_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from backcast.anthropic_api.batches import ApiBatch, MessageBatchesApi
    from backcast.services.open_run import Clock

_READS_THAT_SHOW_MISSING = 2


@dataclass(frozen=True, slots=True)
class Ingested:
    """The rows of a batch by their result type; `missing` were in no read of the results."""

    succeeded: int
    errored: int
    canceled: int
    expired: int
    missing: int
    unknown_rows: int


def ingest(ledger: Ledger, api: MessageBatchesApi, clock: Clock, batch_id: int) -> Ingested:
    """Store and judge the results of a batch, once; after a kill it goes on where it was.

    Raises:
        ApiError: the batch has not ended, or its results cannot be read now; a later call goes on.
    """
    with ledger.connect() as connection:
        batch = connection.execute(sql("batch"), {"batch_id": batch_id}).fetchone()
        if batch is None:
            raise InputError(f"The ledger has no batch {batch_id}.")
        if batch["state"] == "submitted":
            _end(connection, _ended(api, batch), batch)
        elif batch["state"] not in ("ended", "ingested"):
            raise InDoubtError(f"Batch {batch_id} is {batch['state']}: it has no results to ingest.")
        if batch["state"] != "ingested":
            _read_results(connection, api, clock, batch)
            _judge(connection, clock, batch)
        counted = connection.execute(sql("batch"), {"batch_id": batch_id}).fetchone() or {}
    return Ingested(**{name: counted[name] for name in Ingested.__slots__})


def _ended(api: MessageBatchesApi, batch: Row) -> ApiBatch:
    seen = api.retrieve(batch["api_batch_id"])
    if seen.ended_at is None:
        raise ApiError(f"Batch {seen.api_batch_id} is still {seen.status}: its results come when it has ended.")
    return seen


def _end(connection: Connection, seen: ApiBatch, batch: Row) -> None:
    connection.execute(sql("end_batch"), {"batch_id": batch["batch_id"], "ended_at": seen.ended_at})


def _read_results(connection: Connection, api: MessageBatchesApi, clock: Clock, batch: Row) -> None:
    """Read the results; rows that are missing must be missing in two whole reads before that is believed."""
    for _ in range(_READS_THAT_SHOW_MISSING):
        _store_rows(connection, api, clock, batch)
        unanswered = connection.execute(sql("unanswered_count"), {"batch_id": batch["batch_id"]}).fetchone()
        if not (unanswered and unanswered["count"]):
            return
    with connection.transaction():
        connection.execute(
            sql("store_missing"), {"batch_id": batch["batch_id"], "now": clock(), "simulated": batch["simulated"]}
        )


def _store_rows(connection: Connection, api: MessageBatchesApi, clock: Clock, batch: Row) -> None:
    key = {"batch_id": batch["batch_id"], "now": clock(), "simulated": batch["simulated"]}
    model = load_model(batch["model"])
    with connection.transaction(), api.result_lines(batch["api_batch_id"]) as lines:
        connection.execute(sql("create_arrived"))
        copy_in(connection, "copy_arrived", (_row(line, model) for line in lines if line.strip()))
        connection.execute(sql("store_results"), key)
        connection.execute(sql("store_unknown_rows"), key)


def _row(line: bytes, model: Model) -> tuple[Any, ...]:
    try:
        parsed = orjson.loads(line)
        custom_id, result = str(parsed["custom_id"]), dict(parsed["result"])
    except (ValueError, KeyError, TypeError) as error:
        # Only a stream that was cut ends in half a row; what stands before it is read again with it.
        raise ApiError(f"The results hold a row that cannot be read ({error}). They will be read again.") from error
    message = result.get("message")
    usage = _usage(message) if isinstance(message, dict) else Usage()
    return (
        custom_id,
        str(result.get("type")),
        orjson.dumps(result).decode(),
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        _money(batch_cost(model, usage)),
        _money(synchronous_cost(model, usage)),
    )


def _usage(message: dict[str, Any]) -> Usage:
    usage = message.get("usage") or {}
    written = usage.get("cache_creation") or {}
    hour = int(written.get("ephemeral_1h_input_tokens") or 0)
    return Usage(
        input_tokens=int(usage.get("input_tokens") or 0),
        output_tokens=int(usage.get("output_tokens") or 0),
        cache_read_tokens=int(usage.get("cache_read_input_tokens") or 0),
        cache_write_5m_tokens=int(usage.get("cache_creation_input_tokens") or 0) - hour,
        cache_write_1h_tokens=hour,
    )


def _money(amount: Decimal) -> str:
    return format(amount, "f")


def _judge(connection: Connection, clock: Clock, batch: Row) -> None:
    key = {"batch_id": batch["batch_id"]}
    with connection.transaction():
        connection.execute(sql("create_judged"))
        copy_in_chunks(connection, "copy_judged", _verdicts(connection, batch))
        connection.execute(sql("store_verdicts"))
        connection.execute(sql("settle_requests"))
        connection.execute(sql("finish_ingest"), {**key, "now": clock()})


def _verdicts(connection: Connection, batch: Row) -> Iterator[tuple[Any, ...]]:
    judge = Judge(batch["answer_schema"])
    for row in stream(connection, "results_to_judge", {"batch_id": batch["batch_id"]}, at_a_time=50):
        verdict = judge.verdict(orjson.loads(row["raw"]), row["body"])
        accepted = verdict.answer is not None
        yield (
            row["result_id"],
            row["request_id"],
            "accepted" if accepted else "rejected",
            verdict.cause,
            None if accepted else verdict.detail,
        )
