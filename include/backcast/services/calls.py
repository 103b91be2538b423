"""Answers requests synchronously: no faster than allowed, each written down before it is sent and after it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, TypeAlias

import orjson

from backcast.anthropic_api.messages import AsyncClient, Lost, Refused, send_message
from backcast.domain.pricing import synchronous_cost
from backcast.domain.rescue import last_call_at
from backcast.ledger.connection import Connection, Row, sql
from backcast.ledger.runs import prompt_of_row, rescue_terms_of
from backcast.services.estimate import shared_bytes, work_of_requests
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.ingest import usage_of
from backcast.services.kinds import judge_of, models_of, sender

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.services.open_run import Clock

Pause: TypeAlias = Callable[[float], Awaitable[None]]

# A call without a known end may have been paid for, so it is not tried for ever.
MOST_LOST: Final = 3
_YIELD_SECONDS: Final = 5.0
_LONGEST_BACKOFF_SECONDS: Final = 60.0
_log = logging.getLogger(__name__)


class Pass(Enum):
    """How a pass over what waits to be answered ended."""

    DONE = auto()
    TOO_LATE = auto()
    STOPPED = auto()


class Calls:
    """The synchronous calls of a run, made by whoever holds its rescue.

    Args:
        connection: in autocommit mode.
        api: the workspace.
        clock: tells the time in UTC.
        run: the run with its prompt version.
        pause: waits for so many seconds.
        stop_at: no call is begun after this moment; None: until the run's own last one.
        first_alone: the first call ends before the others are begun, so that these can read what it has cached.
    """

    def __init__(  # noqa: PLR0913  what a service is given, once for all calls
        self,
        *,
        connection: Connection,
        api: MessageBatchesApi,
        clock: Clock,
        run: Row,
        pause: Pause,
        stop_at: datetime | None,
        first_alone: bool = False,
    ) -> None:
        self._connection, self._api, self._clock, self._run = connection, api, clock, run
        self._pause, self._stop_at, self._first_alone = pause, stop_at, first_alone
        self._rate = rescue_terms_of(run).rate
        self._last = last_call_at(run["opened_at"], run["deadline"], self._rate.longest_call)
        self._model_of = models_of(run)
        self._judge = judge_of(connection, run)
        self._params_of = sender(run)
        self._workspace = api.workspace
        self._shared_bytes = shared_bytes(prompt_of_row(run))
        self._refusals = 0
        self._held_until = clock()
        self.no_access: str | None = None

    async def make(self, waiting: Iterable[Row]) -> Pass:
        """Call once for each request that waits; what was refused for a passing reason waits for the next pass."""
        room, tasks = asyncio.Semaphore(self._rate.at_once), set[asyncio.Task[None]]()
        client = await self._api.connect()
        ended = Pass.DONE
        try:
            for row in waiting:
                await room.acquire()
                tasks -= _done(tasks)
                ended = await self._turn(row)
                if ended is not Pass.DONE or self.no_access:
                    break
                call_id = self._begin(row["request_id"])
                if call_id is None:
                    room.release()
                    continue
                task = asyncio.create_task(self._call(client, row["request_id"], call_id))
                task.add_done_callback(lambda _: room.release())
                tasks.add(task)
                if self._first_alone:
                    self._first_alone = False
                    await task
            await asyncio.gather(*tasks)
        finally:
            await client.close()
        return ended

    async def _turn(self, row: Row) -> Pass:
        """Wait until the API may be asked once more; earlier deadlines go first."""
        key = {"run_id": self._run["run_id"], "key_fingerprint": self._workspace["key_fingerprint"]}
        at: datetime | None = None
        while (over := self._over(now := self._clock())) is Pass.DONE:
            # An answer to what is under way may have said meanwhile that nothing is left.
            wait_until = max(self._held_until, at or now)
            if (over := self._over(wait_until)) is not Pass.DONE:
                break
            self._connection.execute(sql("mark_rescuing"), {**key, "now": now})
            if wait_until > now:
                await self._pause((wait_until - now).total_seconds())
            elif at is not None:
                break
            elif self._connection.execute(sql("goes_before"), {**key, "now": now}).fetchone():
                await self._pause(_YIELD_SECONDS)
            else:
                at = self._reserve(row, now)
        return over

    def _over(self, moment: datetime) -> Pass:
        """Say whether a call may be begun at this moment."""
        if moment > self._last:
            return Pass.TOO_LATE
        return Pass.STOPPED if self._stop_at is not None and moment > self._stop_at else Pass.DONE

    def _reserve(self, row: Row, now: datetime) -> datetime:
        work = work_of_requests(1, row["prompt_bytes"], self._shared_bytes)
        reserved: Row | None = self._connection.execute(
            sql("reserve_capacity"),
            {
                **self._workspace,
                "now": now,
                "a_request": timedelta(minutes=1 / self._rate.requests_per_minute),
                "the_tokens": timedelta(minutes=work.tokens / self._rate.tokens_per_minute),
            },
        ).fetchone()
        if reserved is None:
            raise AssertionError("INSERT … RETURNING gave no row")
        at: datetime = reserved["at"]
        return max(now, at)

    def _begin(self, request_id: int) -> int | None:
        row = self._connection.execute(sql("begin_call"), {"request_id": request_id, "now": self._clock()}).fetchone()
        return row["call_id"] if row else None

    async def _call(self, client: AsyncClient, request_id: int, call_id: int) -> None:
        reached(FaultPoint.RESCUE_CALL_WRITTEN)
        row = self._connection.execute(sql("request_to_call"), {"request_id": request_id}).fetchone() or {}
        params = orjson.loads(self._params_of(row))
        reply = await send_message(client, params, self._rate.longest_call)
        reached(FaultPoint.RESCUE_CALL_ANSWERED)
        if isinstance(reply, Refused | Lost):
            self._failed(request_id, call_id, reply)
        else:
            self._refusals = 0
            self._store(request_id, call_id, reply.result, row)
            self._hold(reply.exhausted_for)
        reached(FaultPoint.RESCUE_ANSWER_STORED)

    def _failed(self, request_id: int, call_id: int, reply: Refused | Lost) -> None:
        state = "refused" if isinstance(reply, Refused) else "lost"
        with self._connection.transaction():
            self._end(call_id, state, reply.why)
            if isinstance(reply, Lost):
                self._connection.execute(sql("lose_call"), {"request_id": request_id})
        _log.warning("A synchronous call was %s: %s", state, reply.why)
        if isinstance(reply, Refused) and not reply.passing:
            self.no_access = reply.why
            return
        self._refusals += 1
        backoff = min(2.0**self._refusals, _LONGEST_BACKOFF_SECONDS)
        self._hold(reply.retry_after or backoff if isinstance(reply, Refused) else backoff)

    def _hold(self, seconds: float) -> None:
        if seconds:
            until = self._clock() + timedelta(seconds=seconds)
            self._held_until = max(self._held_until, until)
            self._connection.execute(sql("hold_capacity"), {**self._workspace, "until": until})

    def _end(self, call_id: int, state: str, note: str | None) -> None:
        # PostgreSQL's text cannot hold NUL, which what the API says can.
        shown = note and note.replace("\0", " ")
        self._connection.execute(
            sql("end_call"), {"call_id": call_id, "state": state, "note": shown, "now": self._clock()}
        )

    def _store(self, request_id: int, call_id: int, result: Row, about: Row) -> None:
        verdict = self._judge(result, about["body"], about["path"])
        message = result.get("message") or {}
        usage = usage_of(message)
        judged = {"request_id": request_id, **dict(zip(("verdict", "cause", "detail"), verdict.row(), strict=True))}
        with self._connection.transaction():
            self._end(call_id, "answered", None)
            self._connection.execute(
                sql("store_answer"),
                {
                    **judged,
                    "call_id": call_id,
                    "result_type": result["type"],
                    "raw": orjson.dumps(result).decode(),
                    "input_tokens": usage.input_tokens,
                    "output_tokens": usage.output_tokens,
                    "cache_read_tokens": usage.cache_read_tokens,
                    "cache_write_tokens": usage.cache_write_tokens,
                    "cost_usd": synchronous_cost(self._model_of(message), usage),
                    "now": self._clock(),
                },
            )
            self._connection.execute(sql("settle_request"), judged)


def _done(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Return those that are done, raising what one of them raised."""
    done = {task for task in tasks if task.done()}
    for task in done:
        task.result()
    return done
