"""What is open of a run, until when it can still be batched, and when its batches must be canceled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from backcast.domain.capacity import NO_WORK, OpenBatch, Rate, Work, batches_to_split_into, drain, flow
from backcast.domain.rescue import cutoffs_for, terms_of
from backcast.ledger.connection import Connection, Row, sql
from backcast.ledger.runs import rescue_terms_of
from backcast.services.estimate import work_of_requests

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backcast.domain.sla import Cutoffs


@dataclass(frozen=True, slots=True)
class OpenWork:
    """What may still have to be answered synchronously.

    Attributes:
        cutoffs: the last moments of the run, as they are now.
        running: the batches of the run that have not ended and are not being canceled.
        draining: what is being answered of the run, or is about to be.
        busy: for how long runs that are due no later keep what may be asked busy just now.
        unresolved: what is in batches of the run that are in doubt, or that were canceled and have not ended.
        own: all that is open of the run.
        rate: what may be asked synchronously.
    """

    cutoffs: Cutoffs
    running: tuple[OpenBatch, ...]
    draining: Work
    busy: timedelta
    unresolved: Work
    own: Work
    rate: Rate


def weigh(connection: Connection, now: datetime, run: Row) -> OpenWork:
    """Return what is open now, of this run and of those before which it cannot be answered."""
    rows = connection.execute(sql("open_work"), {"run_id": run["run_id"], "now": now}).fetchall()
    own = [row for row in rows if row["run_id"] == run["run_id"]]
    others = [row for row in rows if row["run_id"] != run["run_id"]]
    rate, all_own = rescue_terms_of(run).rate, _work(own)
    return OpenWork(
        cutoffs=cutoffs_for(run["opened_at"], run["deadline"], drain(all_own, rate) + _time(others)),
        running=tuple(OpenBatch(row["batch_id"], _work([row])) for row in own if row["batch_id"] is not None),
        draining=_work(row for row in own if row["draining"]),
        busy=_time(row for row in others if row["draining"]),
        unresolved=_work(row for row in own if row["unresolved"]),
        own=all_own,
        rate=rate,
    )


def _work(rows: Iterable[Row]) -> Work:
    works = (work_of_requests(row["requests"], row["prompt_bytes"], row["shared_bytes"]) for row in rows)
    return sum(works, NO_WORK)


def _time(rows: Iterable[Row]) -> timedelta:
    """Return how long it takes to ask for this, each run at its own rate."""
    return sum((flow(_work([row]), rescue_terms_of(row).rate) for row in rows), timedelta())


def stop_batching_if_late(connection: Connection, now: datetime, run: Row) -> bool:
    """Whether it is too late for another batch; what was not sent is then to be answered synchronously.

    Args:
        connection: in a transaction that holds the run.
        now: the time in UTC.
        run: the run.
    """
    if now < weigh(connection, now, run).cutoffs.batch_until:
        return False
    key = {"run_id": run["run_id"]}
    connection.execute(sql("withdraw_batches"), {**key, "note": "it was too late for a batch"})
    connection.execute(sql("make_synchronous"), key)
    return True


def parts_of(connection: Connection, run: Row) -> int:
    """Return how many batches a run is sent in, so that it can be canceled in parts when that is needed."""
    open_now = weigh(connection, run["opened_at"], run)
    return batches_to_split_into(drain(open_now.own, open_now.rate), terms_of(run["opened_at"], run["deadline"]).buffer)
