"""Writes a review into a ledger after it was given, so that its money counts; nobody waits for it, nor needs it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import orjson
import psycopg

from backcast.domain.errors import BackcastError
from backcast.domain.workflow import answer_key, content_hash
from backcast.ledger.connection import Connection, Ledger, sql
from backcast.ledger.copy import copy_in
from backcast.ledger.runs import insert_run
from backcast.services.estimate import prompt_bytes
from backcast.services.publish import settle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from backcast.domain.workflow import RunSettings
    from backcast.services.review import ReviewCall, Reviewed

WITHIN_SECONDS: Final = 5.0


def record_in_time(
    ledger: Ledger, base_url: str, settings: RunSettings, reviewed: Reviewed, *, within: float | None = None
) -> str | None:
    """Write a review down, and return why that failed, in a line; None when it is written, or nothing was asked.

    It is given up `within` so many seconds: what is half written then is undone.
    """
    if not reviewed.calls:
        return None
    seconds = WITHIN_SECONDS if within is None else within
    failed: list[str] = []

    def write() -> None:
        try:
            record(ledger, base_url, settings, reviewed, seconds=seconds)
        except (BackcastError, psycopg.Error) as error:
            failed.append(" ".join(str(error).split()))

    # A daemon, so that a connection that hangs keeps nobody from ending.
    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    writing.join(seconds)
    if writing.is_alive():
        return f"it did not answer within {seconds:g} s"
    return failed[0] if failed else None


def record(ledger: Ledger, base_url: str, settings: RunSettings, reviewed: Reviewed, *, seconds: float) -> int:
    """Write a review down as a run of its own, whole or not at all, and return the run's id.

    Its documents are the requests: a large file has several, each named by its lines.

    Args:
        ledger: where to.
        base_url: of the API that was asked.
        settings: that it was made with.
        reviewed: the review, with its calls.
        seconds: how long each statement may take.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    review = reviewed.review
    with ledger.transaction() as connection:
        connection.execute(sql("limit_statements"), {"milliseconds": f"{seconds * 1000:.0f}"})
        run_id = insert_run(
            connection,
            replace(settings, kind="review", deadline=None),
            external_key=f"{settings.workflow} {review.commit[:12]} {uuid4().hex}",
            repository=review.repository,
            simulated=review.simulated,
            base_url=base_url,
            opened_at=reviewed.opened_at,
        )
        key = {"run_id": run_id}
        connection.execute(sql("create_collected"))
        copy_in(connection, "copy_collected", _documents(settings, reviewed))
        connection.execute(sql("store_contents"))
        connection.execute(sql("store_documents"), key)
        for call in reviewed.calls:
            _store(connection, run_id, call, reviewed.opened_at)
        values = {"commit_id": review.commit, "committed_at": reviewed.opened_at, "estimated_usd": None}
        connection.execute(sql("finish_collecting"), key | values)
        settle(connection, run_id)
        totals = connection.execute(sql("totals_of_run"), key).fetchone() or {}
        connection.execute(sql("close_review"), key | totals)
    return run_id


def _documents(settings: RunSettings, reviewed: Reviewed) -> Iterator[tuple[object, ...]]:
    for position, call in enumerate(reviewed.calls):
        text = call.request.text
        content = content_hash(text)
        key = answer_key(content, settings.prompt.prompt_hash, settings.model.name)
        size = len(text.encode())
        about = (call.request.name, call.request.file.document.language, size, content, key, None, text)
        yield *about, position, prompt_bytes(text)
    for one in reviewed.review.left_out:
        yield one.where, "", 0, None, None, one.reason, None, len(reviewed.calls), 0


def _store(connection: Connection, run_id: int, call: ReviewCall, now: datetime) -> None:
    verdict = call.verdict
    judged = dict(zip(("verdict", "cause", "detail"), verdict.row() if verdict else (None, None, None), strict=True))
    answered = {None: "open", "accepted": "accepted", "rejected": "failed"}[judged["verdict"]]
    note = None if verdict else call.note.replace("\0", " ")
    row = connection.execute(
        sql("create_reviewed_request"),
        {
            **judged,
            "run_id": run_id,
            "path": call.request.name,
            "state": answered,
            "left_because": note,
            "risked_usd": call.most_usd if call.state == "lost" else 0,
        },
    ).fetchone()
    if row is None or call.state == "unsent":
        return
    ended = {"state": call.state, "sent_at": call.sent_at, "ended_at": call.ended_at, "note": note}
    made = connection.execute(sql("create_ended_call"), row | ended).fetchone()
    if made is None or call.result is None:
        return
    connection.execute(
        sql("store_answer"),
        {
            **row,
            **made,
            **judged,
            "result_type": call.result["type"],
            "raw": orjson.dumps(call.result).decode(),
            "input_tokens": call.usage.input_tokens,
            "output_tokens": call.usage.output_tokens,
            "cache_read_tokens": call.usage.cache_read_tokens,
            "cache_write_tokens": call.usage.cache_write_tokens,
            "cost_usd": call.cost_usd,
            "now": call.ended_at or now,
        },
    )
