"""Keeps a run's cut-offs: cancels in time what is to be answered in time, and ends the wait for what has no end."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from backcast.domain.capacity import drain, to_cancel
from backcast.domain.errors import ApiError
from backcast.domain.rescue import publish_at, unresolved_until
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.runs import load_run, lock_run, rescue_terms_of
from backcast.services.alerts import raise_alert
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.holds import goes_on
from backcast.services.open_work import stop_batching_if_late, weigh

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.services.open_run import Clock
    from backcast.services.open_work import OpenWork

# Other runs come and go meanwhile, and share what may be asked.
LOOK_AGAIN: Final = timedelta(minutes=30)
# While batches are canceled one after the other, and near the end.
LOOK_OFTEN: Final = timedelta(minutes=2)
_log = logging.getLogger(__name__)


def keep_cutoffs(ledger: Ledger, api: MessageBatchesApi, clock: Clock, run_id: int) -> datetime | None:
    """Do what the clock asks of a run now, and return when to look again; None when nothing is waited for.

    From `cancel_at` on its batches are canceled, one after the other as they can be answered synchronously, and all of
    them at the last moment at which what they finished can still be fetched. What has no known end when the report is
    due is left unanswered or, when the workflow says so, answered synchronously and perhaps paid twice.
    """
    with ledger.connect() as connection:
        run = load_run(connection, run_id)
        if not goes_on(run):
            return None
        now = clock()
        work = weigh(connection, now, run)
        if now >= work.cutoffs.batch_until:
            with connection.transaction():
                lock_run(connection, run_id)
                stop_batching_if_late(connection, now, run)
        if now < work.cutoffs.cancel_at:
            return min(work.cutoffs.cancel_at, now + LOOK_AGAIN)
        chosen = to_cancel(
            work.running, work.draining, work.rate, busy=work.busy, last_moment=now >= work.cutoffs.fetch_at
        )
        _cancel(connection, api, clock, run, chosen)
        _end_waiting(connection, api, clock, run, work)
        return now + LOOK_OFTEN


def _cancel(connection: Connection, api: MessageBatchesApi, clock: Clock, run: Row, batch_ids: Sequence[int]) -> None:
    for batch in connection.execute(sql("live_batches"), {"run_id": run["run_id"]}).fetchall():
        elsewhere = {name: batch[name] for name in api.workspace} != api.workspace
        # One that was to be canceled before may go on, if whoever wanted to died, or the API was away.
        if elsewhere or (batch["batch_id"] not in batch_ids and batch["cut_off_at"] is None):
            continue
        key = {"batch_id": batch["batch_id"], "now": clock()}
        if connection.execute(sql("cut_off_batch"), key).fetchone() is None:
            # Somebody has canceled it, and wants nothing more of it.
            continue
        reached(FaultPoint.CUT_OFF_WRITTEN)
        try:
            seen = api.cancel(batch["api_batch_id"])
        except ApiError as error:
            _log.warning("Batch %s could not be canceled, will try again: %s", batch["api_batch_id"], error)
            continue
        reached(FaultPoint.CUT_OFF_CANCELED)
        connection.execute(sql("canceling_batch"), key)
        if batch["cut_off_at"] is None:
            _log.info("The clock allows no more for batch %s, which is %s.", batch["api_batch_id"], seen.status)


def _end_waiting(connection: Connection, api: MessageBatchesApi, clock: Clock, run: Row, work: OpenWork) -> None:
    """Decide about what is not known to have ended, as late as it can be."""
    now, times = clock(), (run["opened_at"], run["deadline"])
    key: Row = {"run_id": run["run_id"], "now": now}
    pays_again = rescue_terms_of(run).when_unresolved == "pay_again"
    if now < (unresolved_until(*times, drain(work.unresolved, work.rate)) if pays_again else publish_at(*times)):
        return
    key["ended"] = _ended(connection, api, run["run_id"]) if pays_again else []
    with connection.transaction():
        lock_run(connection, run["run_id"])
        if pays_again and connection.execute(sql("give_up_unresolved"), key).fetchall():
            connection.execute(sql("make_synchronous"), key)
            what = "are answered synchronously, and may be paid twice"
        elif left := connection.execute(sql("leave_unresolved"), key).fetchall():
            what = f"stay unanswered, {len(left)} in all; a late answer is kept for the next run"
        else:
            return
        raise_alert(
            connection,
            now,
            kind="unresolved",
            subject=str(run["run_id"]),
            message=f"Batches of run {run['run_id']} had no known end when it was due: their documents {what}.",
            run_id=run["run_id"],
        )


def _ended(connection: Connection, api: MessageBatchesApi, run_id: int) -> list[int]:
    """Return the batches of a run that have ended at the API and were not read yet."""
    ended = []
    for batch in connection.execute(sql("cancelable_batches"), {"run_id": run_id}).fetchall():
        if batch["api_batch_id"] is None or batch["base_url"] != api.base_url:
            continue
        with suppress(ApiError):
            if api.retrieve(batch["api_batch_id"]).ended_at is not None:
                ended.append(batch["batch_id"])
    return ended
