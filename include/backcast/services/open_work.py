"""What is open of a run, until when it can still be batched, and when its batches must be canceled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backcast.domain.capacity import NO_WORK, OpenBatch, Rate, Work, batches_to_split_into, drain
from backcast.domain.rescue import cutoffs_for, terms_of
from backcast.ledger.connection import Connection, Row, sql
from backcast.ledger.runs import rescue_terms_of
from backcast.services.estimate import work_of_requests

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.domain.sla import Cutoffs


@dataclass(frozen=True, slots=True)
class OpenWork:
    """What may still have to be answered synchronously.

    Attributes:
        cutoffs: the last moments of the run, as they are now.
        running: the batches of the run that have not ended and are not being canceled.
        rest: what else is open of the run, and of runs that are due no later.
        own: all that is open of the run.
        rate: what may be asked synchronously.
    """

    cutoffs: Cutoffs
    running: tuple[OpenBatch, ...]
    rest: Work
    own: Work
    rate: Rate


def weigh(connection: Connection, now: datetime, run: Row) -> OpenWork:
    """Return what is open now, of this run and of those before which it cannot be answered."""
    rate = rescue_terms_of(run).rate
    running, rest, own, elsewhere = [], NO_WORK, NO_WORK, NO_WORK
    for row in connection.execute(sql("open_work"), {"run_id": run["run_id"], "now": now}).fetchall():
        work = work_of_requests(row["requests"], row["characters"], row["shared_characters"])
        is_own = row["run_id"] == run["run_id"]
        own += work if is_own else NO_WORK
        if row["batch_id"] is None:
            rest += work
        elif is_own:
            running.append(OpenBatch(row["batch_id"], work))
        else:
            elsewhere += work
    together = sum((batch.work for batch in running), rest + elsewhere)
    last = cutoffs_for(run["opened_at"], run["deadline"], together, rate)
    return OpenWork(last, tuple(running), rest, own, rate)


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
