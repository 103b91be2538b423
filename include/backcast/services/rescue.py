"""Answers synchronously, at full price, what the clock no longer lets a batch answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backcast.anthropic_api.batches import RefusedError
from backcast.domain.errors import InputError
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.runs import load_run, lock_run, rescue_terms_of
from backcast.services.alerts import raise_alert
from backcast.services.budget import reserve
from backcast.services.calls import MOST_LOST, Calls, Pass, Pause
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.holds import goes_on, require_not_held
from backcast.services.locks import tried_rescue
from backcast.services.merge import merge_parts
from backcast.services.open_work import stop_batching_if_late, weigh
from backcast.services.resubmit import Resubmission, decide
from backcast.services.rounds import RESCUE_ROUND

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.services.open_run import Clock

_WAIT_FOR_ANOTHER_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Rescued:
    """How many documents of a run were answered synchronously, are left unanswered, and still wait to be answered.

    `undecided` are those that failed and of which nobody has decided whether they go again.
    """

    answered: int
    left: int
    waiting: int
    undecided: int


def rescue(  # noqa: PLR0913  a service is given its ledger, API and clock
    ledger: Ledger,
    api: MessageBatchesApi,
    clock: Clock,
    run_id: int,
    *,
    final: bool,
    pause: Pause = asyncio.sleep,
    stop_at: datetime | None = None,
) -> Rescued:
    """Answer synchronously what is left of a run; safe to call again, and beside another call.

    Whatever was in flight when a call of this died is sent again, and may be paid twice; nothing else is.

    Args:
        ledger: where the run is.
        api: its workspace.
        clock: tells the time in UTC.
        run_id: the run.
        final: no round follows, so that whatever failed is answered now; else only from the cut-off on.
        pause: waits for so many seconds.
        stop_at: no call is begun after this moment.

    Raises:
        HeldError: the run is held.
        RefusedError: the key has no access, or there is no money; somebody must mend it.
    """
    going_on = True
    while going_on:
        with ledger.connect() as connection:
            with tried_rescue(connection, run_id) as held:
                if held:
                    going_on = _rescue(connection, api, clock, run_id, final=final, pause=pause, stop_at=stop_at)
            rescued = _counted(connection, run_id)
        if not held:
            # Whoever holds it may do less than this call is asked for.
            going_on = final and rescued.waiting + rescued.undecided > 0 and (stop_at is None or clock() < stop_at)
            if going_on:
                asyncio.run(_wait(pause))
        else:
            # Whoever came while this one ended could not hold it, and relies on this look.
            going_on = going_on and rescued.waiting > 0
    return rescued


async def _wait(pause: Pause) -> None:
    await pause(_WAIT_FOR_ANOTHER_SECONDS)


def _rescue(  # noqa: PLR0913  as above
    connection: Connection,
    api: MessageBatchesApi,
    clock: Clock,
    run_id: int,
    *,
    final: bool,
    pause: Pause,
    stop_at: datetime | None,
) -> bool:
    """Return whether it may go on, when something comes meanwhile."""
    key = {"run_id": run_id}
    connection.execute(sql("lose_calls"), {**key, "now": clock()})
    while run := _decided(connection, clock, run_id, final=final):
        waiting = _without_lost(connection, run_id, connection.execute(sql("requests_to_call"), key).fetchall())
        if not waiting:
            return True
        require_not_held(run)
        _require_workspace(run, api)
        # Only of a sample, whose documents stand for many: of a rescue each minute counts.
        warms = bool(run["cache_ttl"]) and all(row["sampled"] for row in waiting)
        calls = Calls(
            connection=connection, api=api, clock=clock, run=run, pause=pause, stop_at=stop_at, first_alone=warms
        )
        ended = asyncio.run(calls.make(waiting))
        if calls.no_access:
            raise RefusedError(f"Nothing more is answered synchronously: {calls.no_access}. Then clear this task.")
        if ended is Pass.STOPPED:
            return False
        if ended is Pass.TOO_LATE:
            _leave_the_rest(connection, clock, run)
    return False


def _decided(connection: Connection, clock: Clock, run_id: int, *, final: bool) -> Row | None:
    """Decide what is to be answered synchronously now, and reserve the money for it; None when nothing is."""
    with connection.transaction():
        lock_run(connection, run_id)
        run = load_run(connection, run_id)
        if not goes_on(run):
            return None
        now = clock()
        merge_parts(connection, now, run)
        stop_batching_if_late(connection, now, run)
        if final or _is_cut_off(connection, now, run):
            require_not_held(run)
            key = {"run_id": run_id, "before": RESCUE_ROUND + 1, "round": RESCUE_ROUND, "synchronous": True}
            decide(connection, run, key, Resubmission())
        reserve(connection, run)
        reached(FaultPoint.RESCUE_BEFORE_COMMIT)
    reached(FaultPoint.RESCUE_COMMITTED)
    return run


def _is_cut_off(connection: Connection, now: datetime, run: Row) -> bool:
    # What is open shrinks as it is answered, which moves the cut-off on; what was canceled at it is to be answered.
    row = connection.execute(sql("was_cut_off"), {"run_id": run["run_id"]}).fetchone()
    return bool(row and row["was_cut_off"]) or now >= weigh(connection, now, run).cutoffs.cancel_at


def _require_workspace(run: Row, api: MessageBatchesApi) -> None:
    if run["base_url"] != api.base_url:
        raise InputError(
            f"Run {run['run_id']} was opened for {run['base_url']}, and ours is {api.base_url}: nothing is asked. Set "
            "the address back, or cancel the run and trigger a new one."
        )


def _without_lost(connection: Connection, run_id: int, waiting: list[Row]) -> list[Row]:
    """Leave unanswered what was lost too often, and return the rest."""
    lost = [row["request_id"] for row in waiting if row["lost"] >= MOST_LOST]
    if lost:
        why = f"lost: {MOST_LOST} synchronous calls for it had no known end, and may have been paid for"
        connection.execute(sql("leave_synchronous"), {"run_id": run_id, "why": why, "request_ids": lost})
    return [row for row in waiting if row["lost"] < MOST_LOST]


def _leave_the_rest(connection: Connection, clock: Clock, run: Row) -> None:
    run_id, rate = run["run_id"], rescue_terms_of(run).rate
    allowed = f"{rate.requests_per_minute:g} requests and {rate.tokens_per_minute:g} tokens a minute"
    why = f"no time: {allowed} did not suffice to answer it synchronously by {run['deadline']:%Y-%m-%d %H:%M} UTC"
    with connection.transaction():
        left = connection.execute(
            sql("leave_synchronous"), {"run_id": run_id, "why": why, "request_ids": None}
        ).fetchall()
        # Whoever scores a sample is told by what it shows.
        if left and run["kind"] != "sample":
            raise_alert(
                connection,
                clock(),
                kind="unanswered",
                subject=str(run_id),
                message=f"{len(left)} documents of run {run_id} stay unanswered: {allowed} did not suffice. The next "
                "run asks for them again; allow more in `rescue` of its workflow.yaml, or choose a longer SLA.",
                run_id=run_id,
            )


def _counted(connection: Connection, run_id: int) -> Rescued:
    return Rescued(**(connection.execute(sql("rescued"), {"run_id": run_id}).fetchone() or {}))
