"""Writes what was answered synchronously, such as a review, into a ledger afterwards, so that its money counts.

Nobody waits for it, nor needs it.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol
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
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from decimal import Decimal

    from backcast.domain.pricing import Usage
    from backcast.domain.reviews import NotReviewed
    from backcast.domain.workflow import RunSettings
    from backcast.services.acceptance import Verdict

WITHIN_SECONDS: Final = 5.0


class GivenCall(Protocol):
    """What was asked, `text` under a `name`, and how it ended; of several turns, the last, with the cost of all."""

    @property
    def name(self) -> str: ...  # noqa: D102  as ReviewCall has it, and so are the others
    @property
    def language(self) -> str: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def note(self) -> str: ...  # noqa: D102
    @property
    def sent_at(self) -> datetime | None: ...  # noqa: D102
    @property
    def ended_at(self) -> datetime | None: ...  # noqa: D102
    @property
    def result(self) -> dict[str, Any] | None: ...  # noqa: D102
    @property
    def verdict(self) -> Verdict | None: ...  # noqa: D102
    @property
    def usage(self) -> Usage: ...  # noqa: D102
    @property
    def cost_usd(self) -> Decimal: ...  # noqa: D102
    @property
    def risked_usd(self) -> Decimal: ...  # noqa: D102


class Given(Protocol):
    """What was given to somebody already: about which commit, with which calls, and what was left out."""

    @property
    def repository(self) -> str: ...  # noqa: D102
    @property
    def commit(self) -> str: ...  # noqa: D102
    @property
    def simulated(self) -> bool: ...  # noqa: D102
    @property
    def opened_at(self) -> datetime: ...  # noqa: D102
    @property
    def calls(self) -> Sequence[GivenCall]: ...  # noqa: D102
    @property
    def left_out(self) -> Sequence[NotReviewed]: ...  # noqa: D102


def record_in_time(
    ledger: Ledger, base_url: str, settings: RunSettings, given: Given, *, within: float | None = None
) -> str | None:
    """Write what was given down, and return why that failed, in a line; None when it is written, or nothing was asked.

    It is given up `within` so many seconds: what is half written then is undone.
    """
    if not given.calls:
        return None
    seconds = WITHIN_SECONDS if within is None else within
    failed: list[str] = []

    def write() -> None:
        try:
            record(ledger, base_url, settings, given, seconds=seconds)
        except (BackcastError, psycopg.Error) as error:
            failed.append(" ".join(str(error).split()))

    # A daemon, so that a connection that hangs keeps nobody from ending.
    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    writing.join(seconds)
    if writing.is_alive():
        return f"it did not answer within {seconds:g} s"
    return failed[0] if failed else None


def record(ledger: Ledger, base_url: str, settings: RunSettings, given: Given, *, seconds: float) -> int:
    """Write what was given down as a run of its own, whole or not at all, and return the run's id.

    Its documents are the requests: a large file has several, each named by its lines.

    Args:
        ledger: where to.
        base_url: of the API that was asked.
        settings: that it was made with.
        given: the review, or what else was given, with its calls.
        seconds: how long each statement may take.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    with ledger.transaction() as connection:
        connection.execute(sql("limit_statements"), {"milliseconds": f"{seconds * 1000:.0f}"})
        run_id = insert_run(
            connection,
            replace(settings, kind="review", deadline=None),
            external_key=f"{settings.workflow} {given.commit[:12]} {uuid4().hex}",
            repository=given.repository,
            simulated=given.simulated,
            base_url=base_url,
            opened_at=given.opened_at,
        )
        key = {"run_id": run_id}
        connection.execute(sql("create_collected"))
        copy_in(connection, "copy_collected", _documents(settings, given))
        connection.execute(sql("store_contents"))
        connection.execute(sql("store_documents"), key)
        for call in given.calls:
            _store(connection, run_id, call, given.opened_at)
        values = {"commit_id": given.commit, "committed_at": given.opened_at, "estimated_usd": None}
        connection.execute(sql("finish_collecting"), key | values)
        settle(connection, run_id)
        totals = connection.execute(sql("totals_of_run"), key).fetchone() or {}
        connection.execute(sql("close_review"), key | totals)
    return run_id


def _documents(settings: RunSettings, given: Given) -> Iterator[tuple[object, ...]]:
    for position, call in enumerate(given.calls):
        text = call.text
        content = content_hash(text)
        key = answer_key(content, settings.prompt.prompt_hash, settings.model.name)
        size = len(text.encode())
        about = (call.name, call.language, size, content, key, None, text)
        yield *about, position, prompt_bytes(text), None
    for one in given.left_out:
        yield one.where, "", 0, None, None, one.reason, None, len(given.calls), 0, None


def _store(connection: Connection, run_id: int, call: GivenCall, now: datetime) -> None:
    verdict = call.verdict
    judged = dict(zip(("verdict", "cause", "detail"), verdict.row() if verdict else (None, None, None), strict=True))
    answered = {None: "open", "accepted": "accepted", "rejected": "failed"}[judged["verdict"]]
    note = None if verdict else call.note.replace("\0", " ")
    row = connection.execute(
        sql("create_reviewed_request"),
        {
            **judged,
            "run_id": run_id,
            "path": call.name,
            "state": answered,
            "left_because": note,
            "risked_usd": call.risked_usd,
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
