"""Catches up on whatever was left behind: intents in doubt, batches that nobody ingested, runs that nobody finishes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import psycopg

from backcast.domain.errors import ApiError, BackcastError, InputError
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.runs import brings_its_own, load_run
from backcast.services.alerts import raise_alert
from backcast.services.claims import await_claims, told
from backcast.services.collect import collect
from backcast.services.doubt import Finding, resolve_doubts
from backcast.services.finding_checks import check_findings
from backcast.services.finishing import waiting_in_round
from backcast.services.gate import gate
from backcast.services.ingest import RESULTS_KEPT, ingest
from backcast.services.publish import publish
from backcast.services.rescue import rescue
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import FIRST_ROUND, INHERITED_ROUND, LAST_ROUND
from backcast.services.test_runs import run_tests

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.services.calls import Pause
    from backcast.services.open_run import Clock

# What ended a moment ago is left to the task that waits for it.
GRACE: Final = timedelta(minutes=10)
# How long no task of a run may do anything before the run is taken to be left, as when its DAG is stale.
IDLE_FOR: Final = timedelta(minutes=25)
# Of one run at a time, so that a large one does not keep everything else waiting.
RESCUED_FOR: Final = timedelta(minutes=10)
WARN_BEFORE_GONE: Final = timedelta(days=2)


@dataclass(slots=True)
class Reconciliation:
    """What was found and done: about batches in doubt, ingested batches, finished runs, and what went wrong."""

    doubts: list[Finding] = field(default_factory=list)
    ingested: list[int] = field(default_factory=list)
    finished: dict[int, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Say it in words, a line for each."""
        said = [f"Batch {found.batch_id} of run {found.run_id}: {found.what}, {found.detail}." for found in self.doubts]
        said += [f"Batch {batch_id}: ingested." for batch_id in self.ingested]
        said += [f"Run {run_id}: {state}." for run_id, state in self.finished.items()]
        return said or ["Nothing was left behind."]


@dataclass(frozen=True, slots=True)
class Folders:
    """Where clones are kept and reports are written; and how a rescue waits for its turn."""

    cache: Path
    reports: Path
    pause: Pause = asyncio.sleep


def reconcile(
    ledger: Ledger, api: MessageBatchesApi, clock: Clock, folders: Folders, abandoned: Iterable[int] = ()
) -> Reconciliation:
    """Catch up once; safe at any time, beside tasks and beside another reconciliation.

    Args:
        ledger: where the runs are.
        api: the workspace to look at; batches of another one are left alone.
        clock: tells the time in UTC.
        folders: for runs that are to be finished.
        abandoned: runs that nobody else works on any more; what is left of them is done as far as it can be now.
    """
    done = Reconciliation()
    try:
        done.doubts = resolve_doubts(ledger, api, clock)
    except ApiError as error:
        done.problems.append(str(error))
    for row in _unread(ledger, api, clock):
        _ingest(ledger, api, clock, row, done)
    for run_id in abandoned:
        try:
            done.finished[run_id] = finish_run(ledger, api, clock, run_id, folders)
        except (BackcastError, psycopg.Error) as error:
            # What is wrong with one run must not keep the others waiting.
            done.problems.append(f"Run {run_id}: {error}")
    return done


def mark_left(ledger: Ledger, clock: Clock, run_ids: Iterable[int]) -> None:
    """Write down which of the runs that are not over somebody ended by hand: all that are known to be.

    Nothing is done for them, and other runs may ask for what they have not sent.
    """
    with ledger.connect() as connection:
        connection.execute(sql("mark_left"), {"run_ids": list(run_ids), "now": clock()})


def long_idle(ledger: Ledger, clock: Clock, run_ids: Iterable[int]) -> list[int]:
    """Return which of these runs, all that are idle now, were idle at each look for the last `IDLE_FOR`."""
    now = clock()
    with ledger.connect() as connection:
        rows = connection.execute(sql("mark_idle"), {"run_ids": list(run_ids), "now": now}).fetchall()
    return [row["run_id"] for row in rows if row["idle_since"] and now - row["idle_since"] >= IDLE_FOR]


def _unread(ledger: Ledger, api: MessageBatchesApi, clock: Clock) -> list[Row]:
    with ledger.connect() as connection:
        rows = connection.execute(sql("ended_unread"), api.workspace).fetchall()
        for row in rows:
            _warn_before_gone(connection, clock, row)
    return [row for row in rows if row["gone_at"] is None]


def _warn_before_gone(connection: Connection, clock: Clock, row: Row) -> None:
    until = row["submitted_at"] + RESULTS_KEPT
    if clock() < until - WARN_BEFORE_GONE:
        return
    raise_alert(
        connection,
        clock(),
        kind="results_about_to_go",
        subject=row["api_batch_id"],
        message=(
            f"The results of batch {row['api_batch_id']} of run {row['run_id']} can be read until "
            f"{until:%Y-%m-%d %H:%M} UTC and have not been ingested. Run `backcast reconcile` in its workspace."
        ),
        run_id=row["run_id"],
        batch_id=row["batch_id"],
    )


def _ingest(ledger: Ledger, api: MessageBatchesApi, clock: Clock, row: Row, done: Reconciliation) -> None:
    try:
        seen = api.retrieve(row["api_batch_id"])
        gone = clock() - row["submitted_at"] >= RESULTS_KEPT
        # Far in the future is long ago too: a simulator's clock runs ahead of ours.
        if gone or (seen.ended_at is not None and abs(clock() - seen.ended_at) >= GRACE):
            ingest(ledger, api, clock, row["batch_id"])
            done.ingested.append(row["batch_id"])
    except (BackcastError, psycopg.Error) as error:
        # What is wrong with one batch must not keep the others waiting.
        done.problems.append(f"Batch {row['api_batch_id']}: {error}")


def _require_documents(ledger: Ledger, run_id: int) -> None:
    with ledger.connect() as connection:
        run = load_run(connection, run_id)
    if brings_its_own(run):
        raise InputError(
            f"Run {run_id} is one of requests: the command that began it goes on with it, {run['external_key']!r} but "
            "for its number."
        )
    if run["kind"] == "sample":
        raise InputError(
            f"Run {run_id} is a sample that a prompt is scored on, and makes no report: the command that began it goes "
            f"on with it, {run['external_key']!r}."
        )


def finish_run(ledger: Ledger, api: MessageBatchesApi, clock: Clock, run_id: int, folders: Folders) -> str:
    """Do what can be done now of a run's remaining work, and say how far it is. Never waits.

    Raises:
        BackcastError: it cannot go on; the message says why.
    """
    _require_documents(ledger, run_id)
    collect(ledger, clock, run_id, cache=folders.cache)
    until = clock() + RESCUED_FOR
    if gate(ledger, api, clock, run_id, pause=folders.pause, stop_at=until).waits:
        return "waits for its sample"
    if waits := _rounds(ledger, api, clock, run_id, folders, until):
        return waits
    # Before it waits for other runs, which may wait for this one.
    rescue(ledger, api, clock, run_id, final=True, pause=folders.pause, stop_at=until)
    if waits := _inherits(ledger, api, clock, run_id, folders, until):
        return waits
    rescued = rescue(ledger, api, clock, run_id, final=True, pause=folders.pause, stop_at=until)
    if waiting := rescued.waiting + rescued.undecided:
        return f"is being answered synchronously: {waiting} documents wait"
    tested = run_tests(ledger, clock, run_id, last=True, cache=folders.cache, stop_at=until)
    if tested.stopped:
        return f"runs what was proposed: {tested.told()}"
    return _report(ledger, api, clock, run_id, folders, until)


def _report(  # noqa: PLR0913, PLR0917  as `finish_run`, and until when
    ledger: Ledger, api: MessageBatchesApi, clock: Clock, run_id: int, folders: Folders, until: datetime
) -> str:
    """Check what is to be checked of a run's findings, as far as it can be now, and publish them."""
    checked = check_findings(ledger, api, clock, run_id, cache=folders.cache, pause=folders.pause, stop_at=until)
    if checked.waiting:
        return f"is being checked: {checked.waiting} findings wait"
    published = publish(ledger, clock, run_id, reports=folders.reports)
    return f"published: {published.report}" if published.report else "estimated"


def _rounds(  # noqa: PLR0913, PLR0917  as `finish_run`, and until when
    ledger: Ledger, api: MessageBatchesApi, clock: Clock, run_id: int, folders: Folders, until: datetime
) -> str | None:
    """Send, read and check the rounds, as far as it can be now; says what it waits for."""
    for round_number in range(FIRST_ROUND, LAST_ROUND + 1):
        if round_number > FIRST_ROUND:
            if (tested := run_tests(ledger, clock, run_id, last=False, cache=folders.cache, stop_at=until)).stopped:
                return f"runs what was proposed: {tested.told()}"
            resubmit_failures(ledger, run_id, round_number)
        if waiting := waiting_in_round(ledger, api, clock, run_id, round_number):
            # What its cut-off has canceled is answered while others go on.
            rescue(ledger, api, clock, run_id, final=False, pause=folders.pause, stop_at=until)
            return f"waits for {waiting} batches of round {round_number}"
    return None


def _inherits(  # noqa: PLR0913, PLR0917  as `finish_run`, and until when
    ledger: Ledger, api: MessageBatchesApi, clock: Clock, run_id: int, folders: Folders, until: datetime
) -> str | None:
    """Prove and send what other runs gave up, as far as it can be now; says what it waits for."""
    if elsewhere := await_claims(ledger, clock, run_id):
        return f"waits for {told(elsewhere)}"
    if gate(ledger, api, clock, run_id, pause=folders.pause, stop_at=until).waits:
        return "waits for its sample"
    if waiting := waiting_in_round(ledger, api, clock, run_id, INHERITED_ROUND):
        return f"waits for {waiting} batches of round {INHERITED_ROUND}"
    return None
