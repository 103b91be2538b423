"""Runs of a file of requests: begun once, gone on with after any kind of death, and answered in a file beside."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from backcast.domain.documents import Selection
from backcast.domain.errors import ApiError
from backcast.domain.request_runs import Course, EarlierRun, course
from backcast.domain.sla import LONGEST_SLA
from backcast.domain.workflow import Budget, PromptVersion, RunSettings
from backcast.ledger.connection import Connection, Ledger, sql
from backcast.ledger.runs import insert_run, load_run, lock_run
from backcast.services.answers_file import write_answers
from backcast.services.cancel import cancel_run
from backcast.services.collect_requests import RequestFile, collect_requests
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.finishing import waiting_in_round
from backcast.services.publish import require_answers, settle
from backcast.services.rescue import rescue
from backcast.services.resubmit import resubmit_failures
from backcast.settings import load_model, plain_model_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.services.calls import Pause
    from backcast.services.open_run import Clock

WORKFLOW: Final = "requests"
# What is kept for requests that bring their own parameters.
OWN_PROMPT: Final = PromptVersion("own", "", "", "{}")
# 3 and 4 are the rounds of what other runs gave up and of what is answered synchronously.
_ROUNDS: Final = (1, 2)
_MORE_ROUNDS: Final = (5, 6, 7, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRun:
    """What a person asks for.

    Attributes:
        requests: the file of requests, absolute.
        output: the file of answers, absolute.
        sla: how long it may take; what no batch answers in time is answered synchronously. None: batches only.
        max_usd: the most that it may cost.
        allow_tool_stop: whether the call of a tool is an answer.
        anew: whether a new run is begun, whatever went before.
    """

    requests: Path
    output: Path
    sla: timedelta | None = None
    max_usd: Decimal | None = None
    allow_tool_stop: bool = False
    anew: bool = False


def begin(ledger: Ledger, api: MessageBatchesApi, clock: Clock, asked: RequestRun) -> tuple[int, Course]:
    """Return the run that answers what is asked for, opening it the first time, and what is to be done.

    Raises:
        InputError: a line is wrong, the requests have changed, or the output exists; nothing was opened.
    """
    with asked.requests.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    key = {"requests": str(asked.requests), "output": str(asked.output), "base_url": api.base_url}
    with ledger.connect() as connection:
        row = connection.execute(sql("earlier_run_of_requests"), key).fetchone()
    earlier = EarlierRun(row["run_id"], row["sha256"], row["over"], row["canceled"]) if row else None
    what = course(earlier, sha256, output_exists=asked.output.exists(), anew=asked.anew, output=str(asked.output))
    if what is not Course.BEGIN and earlier is not None:
        return earlier.run_id, what
    if earlier is not None and not earlier.over and not earlier.canceled:
        cancel_run(ledger, api, clock, earlier.run_id)
    return _open(ledger, api, clock, asked, sha256, row["runs"] + 1 if row else 1), what


def _open(  # noqa: PLR0913, PLR0917  what a run is opened with, and where
    ledger: Ledger, api: MessageBatchesApi, clock: Clock, asked: RequestRun, sha256: str, number: int
) -> int:
    file = RequestFile(asked.requests, asked.allow_tool_stop)
    first, _ = next(file.lines())
    preflight = api.preflight(first.model)
    file = RequestFile(asked.requests, asked.allow_tool_stop)
    with ledger.transaction() as connection:
        run_id = insert_run(
            connection,
            _settings(asked, plain_model_name(first.model), first.max_tokens),
            external_key=f"backcast run {asked.requests} --output {asked.output} #{number}",
            repository=str(asked.requests),
            simulated=preflight.simulated,
            base_url=api.base_url,
            opened_at=clock(),
        )
        collect_requests(connection, load_run(connection, run_id), file, sha256)
        for model in file.models - {first.model}:
            api.preflight(model)
    reached(FaultPoint.COLLECT_COMMITTED)
    return run_id


def _settings(asked: RequestRun, model: str, max_tokens: int) -> RunSettings:
    return RunSettings(
        workflow=WORKFLOW,
        repository=str(asked.requests),
        ref=str(asked.output),
        selection=Selection(),
        sla=asked.sla or LONGEST_SLA,
        model=load_model(model),
        max_tokens=max_tokens,
        prompt=OWN_PROMPT,
        budget=Budget(run=asked.max_usd),
        structured=False,
        kind="requests",
    )


def answer(  # noqa: PLR0913  a service is given its ledger, API and clock
    ledger: Ledger,
    api: MessageBatchesApi,
    clock: Clock,
    run_id: int,
    *,
    wait: Callable[[], None],
    pause: Pause = asyncio.sleep,
) -> None:
    """Ask for the requests of a run until each has an answer or is given up; safe to call again.

    Args:
        ledger: where the run is.
        api: its workspace.
        clock: tells the time in UTC.
        run_id: the run.
        wait: waits until the batches are looked at once more.
        pause: waits for so many seconds, between synchronous calls.

    Raises:
        BackcastError: it cannot go on; the message says why. Nothing is lost.
    """
    with ledger.connect() as connection:
        run = load_run(connection, run_id)
    in_time = run["deadline"] - run["opened_at"] < LONGEST_SLA
    for number in _ROUNDS if in_time else (*_ROUNDS, *_MORE_ROUNDS):
        if number > 1 and not resubmit_failures(ledger, run_id, number).counts:
            break
        _round(ledger, api, clock, run_id, number, wait, pause if in_time else None)
    if in_time:
        rescue(ledger, api, clock, run_id, final=True, pause=pause)


def _round(  # noqa: PLR0913, PLR0917  as above
    ledger: Ledger,
    api: MessageBatchesApi,
    clock: Clock,
    run_id: int,
    number: int,
    wait: Callable[[], None],
    pause: Pause | None,
) -> None:
    """Go through a round; with `pause`, what its cut-off has canceled is answered synchronously meanwhile."""
    patience = _Patience(clock)
    while True:
        try:
            if not waiting_in_round(ledger, api, clock, run_id, number):
                return
            patience.recovered()
            if pause is not None:
                rescue(ledger, api, clock, run_id, final=False, pause=pause)
        except ApiError as error:
            patience.failed(error)
        wait()


class _Patience:
    """An API that is away is waited for as long as a batch may take."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: datetime | None = None

    def recovered(self) -> None:
        self._since = None

    def failed(self, error: ApiError) -> None:
        self._since = self._since or self._clock()
        if getattr(error, "passing", True) is False or self._clock() - self._since > timedelta(hours=24):
            raise error


@dataclass(frozen=True, slots=True)
class Answered:
    """How a run of requests ended; money in US dollars, what it cost and what it would have synchronously."""

    run_id: int
    requests: int
    answered: int
    unanswered: int
    cost_usd: Decimal
    synchronous_usd: Decimal
    simulated: bool


def finish(ledger: Ledger, clock: Clock, run_id: int, output: Path) -> Answered:
    """Settle a run and write its answers, whole or not at all; a later call writes them again and settles nothing.

    Raises:
        InDoubtError: a request may still be answered.
        InputError: the answers cannot be written; nothing is lost.
    """
    with ledger.transaction() as connection:
        state = lock_run(connection, run_id)
        if state != "published":
            require_answers(connection, run_id)
            settle(connection, run_id)
        write_answers(connection, run_id, output)
        reached(FaultPoint.PUBLISH_WRITTEN)
        ended = _ended(connection, run_id)
        if state != "published":
            counts = {"answered": ended.answered, "reused": 0, "skipped": 0, "unanswered": ended.unanswered}
            connection.execute(
                sql("publish_run"), {"run_id": run_id, "published_at": clock(), "report_path": str(output), **counts}
            )
    reached(FaultPoint.PUBLISH_COMMITTED)
    return ended


def _ended(connection: Connection, run_id: int) -> Answered:
    key = {"run_id": run_id}
    totals = connection.execute(sql("totals_of_run"), key).fetchone() or {}
    spend = connection.execute(sql("spend_of_run"), key).fetchone() or {}
    run = load_run(connection, run_id)
    return Answered(
        run_id=run_id,
        requests=totals["collected"],
        answered=totals["answered"],
        unanswered=totals["unanswered"],
        cost_usd=spend["cost_usd"],
        synchronous_usd=spend["synchronous_usd"],
        simulated=run["simulated"],
    )


def ended(ledger: Ledger, run_id: int) -> Answered:
    """Return how a run ended that is over."""
    with ledger.connect() as connection:
        return _ended(connection, run_id)


def progress(ledger: Ledger, run_id: int) -> dict[str, int]:
    """Return how many requests a run has, and how many are answered."""
    with ledger.connect() as connection:
        return connection.execute(sql("progress_of_requests"), {"run_id": run_id}).fetchone() or {}
