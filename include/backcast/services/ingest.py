"""Ingests an ended batch: every row is stored once, counted off, and judged before it is believed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from backcast.domain.errors import ApiError, HeldError, InDoubtError, InputError
from backcast.domain.pricing import BATCH_SHARE, Usage, synchronous_cost
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.copy import copy_in, copy_in_chunks, stream
from backcast.ledger.runs import lock_run
from backcast.services.alerts import raise_alert
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.kinds import JudgedAtOnce, ModelOf, judge_at_once, judge_of, models_of
from backcast.services.locks import held_batch
from backcast.services.merge import merge_parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from backcast.anthropic_api.batches import ApiBatch, MessageBatchesApi
    from backcast.services.open_run import Clock

_READS_THAT_SHOW_MISSING = 2
_READABLE = ("submitted", "ended")
# From the batch's creation, which is never after the time that we wrote down for it.
RESULTS_KEPT: Final = timedelta(days=29)


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
        HeldError: its results are gone for good; a person must decide.
    """
    with ledger.connect() as connection:
        batch = _load(connection, batch_id)
        if not _over(batch):
            with held_batch(connection, batch_id):
                # Read again under the lock: whoever held it before may have ingested it.
                _ingest(connection, api, clock, _load(connection, batch_id))
        counted = _load(connection, batch_id)
    return Ingested(**{name: counted[name] or 0 for name in Ingested.__slots__})


def _over(batch: Row) -> bool:
    return batch["state"] in ("ingested", "withdrawn") or (batch["nothing_awaited"] and batch["state"] not in _READABLE)


def _ingest(connection: Connection, api: MessageBatchesApi, clock: Clock, batch: Row) -> None:
    if batch["state"] == "ingested":
        return
    if batch["state"] not in _READABLE:
        raise InDoubtError(f"Batch {batch['batch_id']} is {batch['state']}: it has no results to ingest.")
    try:
        reached(FaultPoint.INGEST_BEFORE_END)
        seen = api.retrieve(batch["api_batch_id"])
        if seen.ended_at is None:
            _require_not_awaited(batch, seen)
            return
        if batch["state"] == "submitted":
            connection.execute(sql("end_batch"), {"batch_id": batch["batch_id"], "ended_at": seen.ended_at})
        reached(FaultPoint.INGEST_ENDED)
        _read_results(connection, api, clock, batch)
    except ApiError:
        if clock() - batch["submitted_at"] >= RESULTS_KEPT:
            _mark_gone(connection, clock, batch)
        raise
    # First, since a batch that is counted off is not looked at again.
    _hold_run_if_canceled_by_another(connection, clock, batch, seen)
    _judge(connection, clock, batch)
    reached(FaultPoint.INGEST_JUDGED)
    with connection.transaction():
        lock_run(connection, batch["run_id"])
        merge_parts(connection, clock(), batch)


def _require_not_awaited(batch: Row, seen: ApiBatch) -> None:
    # What was left unanswered at the deadline is read by the reconciliation, when it has ended.
    if not batch["nothing_awaited"]:
        raise ApiError(f"Batch {seen.api_batch_id} is still {seen.status}: its results come when it has ended.")


def _load(connection: Connection, batch_id: int) -> Row:
    batch = connection.execute(sql("batch"), {"batch_id": batch_id}).fetchone()
    if batch is None:
        raise InputError(f"The ledger has no batch {batch_id}.")
    return batch


def _mark_gone(connection: Connection, clock: Clock, batch: Row) -> None:
    run_id, now = batch["run_id"], clock()
    message = (
        f"The results of batch {batch['api_batch_id']} cannot be read any more: it was submitted on "
        f"{batch['submitted_at']:%Y-%m-%d}, and results are kept for {RESULTS_KEPT.days} days. Nothing is sent again "
        f"by itself: `backcast resubmit {run_id} --again` pays for its requests again, `backcast cancel {run_id}` ends "
        "the run with what it has."
    )
    with connection.transaction():
        connection.execute(sql("mark_gone"), {"batch_id": batch["batch_id"], "now": now})
        raise_alert(
            connection,
            now,
            kind="results_gone",
            subject=batch["api_batch_id"],
            message=message,
            run_id=run_id,
            batch_id=batch["batch_id"],
        )
    raise HeldError(message)


def _hold_run_if_canceled_by_another(connection: Connection, clock: Clock, batch: Row, seen: ApiBatch) -> None:
    if seen.cancel_initiated_at is None or batch["cancel_requested_at"] is not None or not seen.counts["canceled"]:
        return
    reason = f"batch {batch['api_batch_id']} was canceled by somebody else"
    with connection.transaction():
        connection.execute(sql("hold_run"), {"run_id": batch["run_id"], "reason": reason})
        raise_alert(
            connection,
            clock(),
            kind="canceled_by_another",
            subject=batch["api_batch_id"],
            message=(
                f"Run {batch['run_id']} is held: {reason}. `backcast resubmit {batch['run_id']}` lets it go on, "
                f"`backcast cancel {batch['run_id']}` ends it with what it has."
            ),
            run_id=batch["run_id"],
            batch_id=batch["batch_id"],
        )


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
    """Store what one read brings. When the stream breaks, what came before is stored, and the next read goes on."""
    key = {"batch_id": batch["batch_id"], "now": clock(), "simulated": batch["simulated"]}
    rows = _WholeRows(models_of(batch), judge_at_once(batch))
    with connection.transaction(), api.result_lines(batch["api_batch_id"]) as lines:
        connection.execute(sql("create_arrived"))
        copy_in(connection, "copy_arrived", rows.of(lines))
        connection.execute(sql("store_results"), key)
        if rows.judge is not None:
            connection.execute(sql("settle_arrived"))
        connection.execute(sql("store_unknown_rows"), key)
    reached(FaultPoint.INGEST_STORED)
    if rows.broken_by is not None:
        raise rows.broken_by


class _WholeRows:
    """The rows of a stream up to where it breaks; `broken_by` then says how."""

    def __init__(self, model_of: ModelOf, judge: JudgedAtOnce | None) -> None:
        self._model_of = model_of
        self.judge = judge
        self.broken_by: ApiError | None = None

    def of(self, lines: Iterator[bytes]) -> Iterator[tuple[Any, ...]]:
        try:
            for line in lines:
                if line.strip():
                    yield result_row(line, self._model_of, self.judge)
                    reached(FaultPoint.INGEST_ROW)
        except ApiError as error:
            self.broken_by = error


def result_row(line: bytes, model_of: ModelOf, judge: JudgedAtOnce | None = None) -> tuple[Any, ...]:
    """Return a result row as the table `arrived` takes it; one that cannot be read answers no request.

    Args:
        line: the row's JSON.
        model_of: tells the model of a message.
        judge: judges it at once, when nothing more than the row is needed for that.
    """
    try:
        parsed = orjson.loads(line)
        custom_id, result = str(parsed["custom_id"]), dict(parsed["result"])
    except (ValueError, KeyError, TypeError):
        return (
            "",
            "unreadable",
            line.decode(errors="replace").replace("\0", " "),
            0,
            0,
            0,
            0,
            "0",
            "0",
            None,
            None,
            None,
        )
    message = result.get("message")
    usage = usage_of(message) if isinstance(message, dict) else Usage()
    cost = synchronous_cost(model_of(message if isinstance(message, dict) else {}), usage)
    verdict = judge(result, "") if judge else None
    return (
        custom_id,
        str(result.get("type")),
        orjson.dumps(result).decode(),
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        _money(cost * BATCH_SHARE),
        _money(cost),
        *(verdict.row() if verdict else (None, None, None)),
    )


def usage_of(message: dict[str, Any]) -> Usage:
    """Return the tokens of a message, as it tells them."""
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
        reached(FaultPoint.INGEST_BEFORE_JUDGED)


def _verdicts(connection: Connection, batch: Row) -> Iterator[tuple[Any, ...]]:
    judge = judge_of(connection, batch)
    for row in stream(connection, "results_to_judge", {"batch_id": batch["batch_id"]}, at_a_time=50):
        yield row["result_id"], row["request_id"], *judge(orjson.loads(row["raw"]), row["body"], row["path"]).row()
