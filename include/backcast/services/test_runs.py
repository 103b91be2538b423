"""Runs the tests that a run proposes, where that is switched on: what fails is rejected, and goes again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from backcast.domain.documents import Snapshot
from backcast.domain.errors import InputError
from backcast.domain.proposed import ProposedTests
from backcast.domain.rescue import publish_at
from backcast.domain.static_checks import asks_for_tests
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.runs import load_run, lock_run, outline_of_run, test_terms_of
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.holds import goes_on
from backcast.services.locks import held_tests
from backcast.services.open_work import weigh
from backcast.services.proposed_tests import answer_of, refuse_reused, store_test_run
from backcast.services.pytest_runs import NO_TIME_LEFT, CannotRunError, Ran, pytest_runs
from backcast.services.rounds import FIRST_ROUND

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from backcast.domain.proposed import ProposedFile
    from backcast.services.open_run import Clock

# Before the second round: what is not run by then is run before the report is written.
_BETWEEN_ROUNDS: Final = timedelta(minutes=30)


@dataclass(slots=True)
class RanTests:
    """How many answers passed, failed, were not run, or wait to be.

    `why` says what is to be said beside. It was `stopped` when what waits is left to a later call.
    """

    counts: Counter[str] = field(default_factory=Counter)
    why: str = ""
    stopped: bool = False

    @property
    def waiting(self) -> int:
        """How many were not reached."""
        return self.counts["waiting"]

    def told(self) -> str:
        """Say it in a line."""
        said = [f"{count} {what.replace('_', ' ')}" for what, count in sorted(self.counts.items())]
        return ". ".join(filter(None, [", ".join(said), self.why])) or "There is nothing to check"


@dataclass(frozen=True, slots=True)
class _Candidate:
    row: Row
    files: list[ProposedFile]


def run_tests(  # noqa: PLR0913  a service is given its ledger and clock
    ledger: Ledger, clock: Clock, run_id: int, *, last: bool, cache: Path, stop_at: datetime | None = None
) -> RanTests:
    """Run the tests that a run proposes and that it has not run before; safe to call again, at any time.

    What has been shown is kept for each answer, so that none is run twice; one whose process was killed is run again.
    An answer that fails is none any more, for this run and all others. Where nothing can be run, before the second
    round nothing is done; at last it is said with each file, which is offered as not run.

    Args:
        ledger: where the run is.
        clock: tells the time in UTC.
        run_id: the run.
        last: no round follows, so that what fails is not asked for again.
        cache: where clones of remote repositories are kept.
        stop_at: no file is begun after this moment; None: until the run's own last one.

    Raises:
        ApiError: another process does this just now.
    """
    with ledger.connect() as connection, held_tests(connection, run_id):
        run = load_run(connection, run_id)
        if not asks_for_tests(run["answer_schema"]) or not goes_on(run):
            return RanTests()
        if not test_terms_of(run).run:
            return RanTests(
                why="Running tests is not switched on: what is proposed was parsed, and its imports looked up"
            )
        return _Running(connection, clock, run, last=last).all(cache, stop_at)


class _Running:
    def __init__(self, connection: Connection, clock: Clock, run: Row, *, last: bool) -> None:
        self._connection, self._clock, self._run, self._last = connection, clock, run, last
        self._outline = outline_of_run(connection, run["run_id"])
        self._ran = RanTests()

    def all(self, cache: Path, stop_at: datetime | None) -> RanTests:
        candidates = list(self._candidates())
        if not candidates:
            return self._ran
        now = self._clock()
        until = self._until(now)
        if now >= until:
            self._leave(candidates, NO_TIME_LEFT)
            return self._ran
        try:
            self._run_all(candidates, cache, until, stop_at)
        except (CannotRunError, InputError, OSError) as error:
            # Such as a full disk: the report must be on time all the same.
            self._leave(candidates, str(error))
        return self._ran

    def _until(self, now: datetime) -> datetime:
        """Return the moment after which nothing is run any more."""
        if self._last:
            return publish_at(self._run["opened_at"], self._run["deadline"])
        # Then what has failed is answered synchronously, for which no time is to be missing.
        return min(now + _BETWEEN_ROUNDS, weigh(self._connection, now, self._run).cutoffs.cancel_at)

    def _candidates(self) -> Iterator[_Candidate]:
        proposed = ProposedTests(self._outline)
        key = {"run_id": self._run["run_id"], "first_round": None if self._last else FIRST_ROUND}
        rows = self._connection.execute(sql("answers_to_run"), key).fetchall()
        for row in rows:
            files = proposed.files(answer_of(self._run, row["raw"]), row["path"])
            if files:
                yield _Candidate(row, files)

    def _run_all(self, candidates: list[_Candidate], cache: Path, until: datetime, stop_at: datetime | None) -> None:
        run, outline = self._run, self._outline
        if outline is None:
            raise CannotRunError("what its repository holds was not kept")
        snapshot = Snapshot(run["repository"], run["ref"], run["commit_id"], run["committed_at"])
        with pytest_runs(snapshot, outline, test_terms_of(run), cache) as runs:
            runs.end_within((until - self._clock()).total_seconds())
            runs.require_control(candidates[0].files[0].path)
            for position, candidate in enumerate(candidates):
                now = self._clock()
                if now >= until:
                    self._leave(candidates[position:], NO_TIME_LEFT)
                    return
                if stop_at is not None and now >= stop_at:
                    self._ran.counts["waiting"] += len(candidates) - position
                    self._ran.stopped = True
                    return
                # The report is to be on time, however long a file may take.
                runs.end_within((until - now).total_seconds())
                ran = runs.run(candidate.files, candidate.row["path"])
                reached(FaultPoint.TESTS_RAN)
                self._store(candidate.row, ran)

    def _leave(self, candidates: list[_Candidate], why: str) -> None:
        """Say of these that they were not run; before the last time they may be run later."""
        self._ran.why = f"Not run: {why}"
        if not self._last:
            self._ran.counts["waiting"] += len(candidates)
            return
        for candidate in candidates:
            self._store(candidate.row, Ran("not_run", why))

    def _store(self, row: Row, ran: Ran) -> None:
        if ran.verdict == "not_run" and not self._last:
            self._ran.counts["waiting"] += 1
            return
        with self._connection.transaction():
            # Whoever has published or canceled it meanwhile has settled its documents.
            lock_run(self._connection, self._run["run_id"])
            if goes_on(load_run(self._connection, self._run["run_id"])):
                self._settle(row, ran)
            reached(FaultPoint.TESTS_BEFORE_COMMIT)
        reached(FaultPoint.TESTS_STORED)
        self._ran.counts[ran.verdict] += 1

    def _settle(self, row: Row, ran: Ran) -> None:
        detail = None if ran.verdict == "passed" else ran.detail.replace("\0", " ")
        store_test_run(
            self._connection,
            self._clock(),
            self._run["run_id"],
            row["result_id"],
            verdict=ran.verdict,
            detail=detail,
            passed=ran.passed,
            seconds=ran.seconds,
        )
        if ran.verdict != "failed" or detail is None:
            return
        if row["request_id"] is None:
            refuse_reused(self._connection, row["document_id"], detail, final=True)
        else:
            values = {"request_id": row["request_id"], "detail": detail, "again": not self._last}
            self._connection.execute(sql("fail_tested"), values)
