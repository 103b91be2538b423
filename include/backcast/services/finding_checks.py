"""Holds the findings that come first in a run's report against the repository, before it is published."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from backcast.domain.audit import Candidate, check_key, standing, to_ask, worth_a_check
from backcast.domain.errors import InputError
from backcast.domain.rescue import publish_at
from backcast.domain.workflow import digest
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.runs import load_run, selection_of
from backcast.reports.ranking import ranked
from backcast.services.admission import Admission, last_begin
from backcast.services.asking import Asking, text_of, told
from backcast.services.audit import terms_of
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.holds import goes_on
from backcast.services.locks import tried_checks
from backcast.services.publish import foreseen, reports_findings
from backcast.settings import load_check_prompt
from backcast.sources.tracked import TrackedFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.domain.audit import CheckTerms
    from backcast.domain.report import Finding, Report
    from backcast.domain.workflow import PromptVersion
    from backcast.services.calls import Pause
    from backcast.services.open_run import Clock

AT_ONCE: Final = 3
LONGEST: Final = timedelta(minutes=5)
# What was paid for so often, or may have been, without a verdict is not asked again.
MOST_IN_VAIN: Final = 3
# After so many conversations in a row that did not come to a first message, the API is taken to be away.
MOST_FAILURES: Final = 3
_WAIT_FOR_ANOTHER_SECONDS: Final = 30.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a run's findings that were to be checked.

    Attributes:
        known: how many have a verdict of an earlier check.
        asked: how many were asked about, and have one.
        left: how many have none.
        waiting: of these, how many a later call is to ask about.
    """

    known: int = 0
    asked: int = 0
    left: int = 0
    waiting: int = 0


def check_findings(  # noqa: PLR0913  a service is given its ledger, API and clock
    ledger: Ledger,
    api: MessageBatchesApi,
    clock: Clock,
    run_id: int,
    *,
    cache: Path,
    pause: Pause = asyncio.sleep,
    stop_at: datetime | None = None,
) -> Checked:
    """Ask about the findings that come first in a run's report whether they are true; safe to call again.

    Whatever an API, a repository or a budget brings about leaves findings unclear, with the reason, and raises nothing.
    What was in flight when a call of this died is asked again, and may be paid twice; nothing else is.

    Args:
        ledger: where the run is; all of its requests have their last answer.
        api: its workspace.
        clock: tells the time in UTC.
        run_id: the run.
        cache: where clones of remote repositories are kept.
        pause: waits for so many seconds.
        stop_at: no conversation is begun after this moment; what is left is for another call.

    Raises:
        InDoubtError: requests of the run have no answer yet.
    """
    with ledger.connect() as connection:
        run = load_run(connection, run_id)
        terms = terms_of(connection, clock(), run) if _has_findings_to_check(run) else None
        if terms is None:
            return Checked()
        stage = _Stage(connection, api, clock, run, terms, cache, pause, stop_at)
        until = last_begin(run) if stop_at is None else min(last_begin(run), stop_at)
        while True:
            with tried_checks(connection, run) as held:
                if held:
                    return stage.go_through()
            if clock() >= until:
                return stage.give_up("another run of this workflow checks findings of this repository")
            asyncio.run(_wait(pause))


async def _wait(pause: Pause) -> None:
    await pause(_WAIT_FOR_ANOTHER_SECONDS)


def _has_findings_to_check(run: Row) -> bool:
    """Whether this is a run for whose report findings are checked: not an interim one, which a later run replaces."""
    audit = run["kind"] == "documents" and run["source"] == "git" and not run["interim"]
    # The schema is that of the run, and the workflow may ask for something else by now.
    return audit and goes_on(run) and reports_findings(run["answer_schema"])


class _Stage:
    """The checks of one run, made by whoever holds them for its workflow and repository."""

    def __init__(  # noqa: PLR0913, PLR0917  what a service is given, once
        self,
        connection: Connection,
        api: MessageBatchesApi,
        clock: Clock,
        run: Row,
        terms: CheckTerms,
        cache: Path,
        pause: Pause,
        stop_at: datetime | None,
    ) -> None:
        self._connection, self._api, self._clock, self._run = connection, api, clock, run
        self._terms, self._cache = terms, cache
        self._admission = Admission(connection, api, clock, run, terms, pause, stop_at)
        self._key = {"run_id": run["run_id"]}
        self._known = self._asked = self._left = self._failures = 0
        self._last_failure = ""

    def go_through(self) -> Checked:
        # Whoever began these held what is held now, and is gone.
        names = {name: self._run[name] for name in ("workflow", "repository")}
        self._connection.execute(sql("lose_checks"), {**names, "now": self._clock()})
        report = foreseen(self._connection, self._clock(), self._run)
        if report is None:
            return self._counted()
        try:
            prompt = load_check_prompt(self._run["workflow"])
        except InputError as error:
            self._leave(report.findings[: self._terms.top], f"not checked: {error}")
            return self._counted()
        with ExitStack() as stack:
            try:
                files: TrackedFiles | None = stack.enter_context(self._files())
            except InputError as error:
                files, unfit = None, str(error)
            else:
                unfit = self._unfit()
            waiting = self._begin_with_what_is_known(self._candidates(report, prompt, files))
            reached(FaultPoint.CHECK_CHOSEN)
            if files is None or unfit:
                self._leave([one.finding for one in waiting], f"not checked: {unfit}")
            elif waiting:
                self._ask_about(waiting, prompt, files)
        reached(FaultPoint.CHECK_DONE)
        return self._counted()

    def _ask_about(self, waiting: Sequence[Candidate], prompt: PromptVersion, files: TrackedFiles) -> None:
        try:
            asking = Asking(self._api, self._clock, self._run, self._terms, prompt, files)
        except InputError as error:
            # Such as a model that is not among ours any more: no reason to keep the report back.
            self._leave([one.finding for one in waiting], f"not checked: {error}")
        else:
            asyncio.run(self._make(asking, waiting))

    def give_up(self, why: str) -> Checked:
        """Check nothing, since somebody else holds the checks; what is known, or what that one writes down, stays."""
        self._admission.waits = self._clock() <= last_begin(self._run)
        report = foreseen(self._connection, self._clock(), self._run)
        if report is None:
            return self._counted()
        try:
            prompt = load_check_prompt(self._run["workflow"])
        except InputError:
            waiting = report.findings[: self._terms.top]
        else:
            candidates = self._candidates(report, prompt, None)
            known, in_vain = self._settled(candidates)
            with self._connection.transaction():
                self._note_settled(candidates, known, in_vain)
            waiting = tuple(one.finding for one in self._to_ask(candidates, known, in_vain))
        self._leave(waiting, f"not checked: {why}")
        return self._counted()

    def _counted(self) -> Checked:
        return Checked(self._known, self._asked, self._left, self._left if self._admission.waits else 0)

    def _files(self) -> TrackedFiles:
        return TrackedFiles(self._run["repository"], self._run["commit_id"], self._cache, selection_of(self._run))

    def _candidates(self, report: Report, prompt: PromptVersion, files: TrackedFiles | None) -> list[Candidate]:
        """Return what may be checked, in the report's order: its findings, and severe ones of what stands beside it."""
        found = [*report.findings, *(_severe_beside(report, files) if files else ())]
        paths = sorted({finding.path for finding in found})
        rows = self._connection.execute(sql("contents_of_paths"), {**self._key, "paths": paths}).fetchall()
        contents: dict[str, str] = {row["path"]: row["content_hash"] for row in rows}
        return [
            Candidate(finding, contents[finding.path], self._key_of(finding, contents[finding.path], prompt))
            for finding in ranked(found, report.first)
            if finding.path in contents
        ]

    def _key_of(self, finding: Finding, content_hash: str, prompt: PromptVersion) -> str:
        run = self._run
        return check_key(
            run["workflow"],
            run["repository"],
            digest(finding.fingerprint, told(finding)),
            content_hash,
            prompt.prompt_hash,
            run["model"],
            simulated=run["simulated"],
        )

    def _begin_with_what_is_known(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Write down what earlier checks say, and return what is to be asked, the first first."""
        known, in_vain = self._settled(candidates)
        with self._connection.transaction():
            self._connection.execute(sql("forget_checked_findings"), self._key)
            self._note_settled(candidates, known, in_vain)
        return self._to_ask(candidates, known, in_vain)

    def _settled(self, candidates: Sequence[Candidate]) -> tuple[dict[str, int], dict[str, str]]:
        """Return, by their keys, the checks that have a verdict, and why no more are asked that came to none."""
        keys = [one.check_key for one in candidates]
        rows = {row["check_key"]: row for row in self._connection.execute(sql("known_checks"), {"keys": keys})}
        known = {key: row["check_id"] for key, row in rows.items() if row["check_id"] is not None}
        in_vain = {
            key: f"not checked: it was asked about {row['in_vain']} times in vain, the last time: {row['note']}"
            for key, row in rows.items()
            if key not in known and row["in_vain"] >= MOST_IN_VAIN
        }
        return known, in_vain

    def _note_settled(
        self, candidates: Sequence[Candidate], known: Mapping[str, int], in_vain: Mapping[str, str]
    ) -> None:
        for one in candidates:
            if one.check_key in known or one.check_key in in_vain:
                self._note(one.finding, known.get(one.check_key), in_vain.get(one.check_key))
        self._known = sum(one.check_key in known for one in candidates)

    def _to_ask(
        self, candidates: Sequence[Candidate], known: Mapping[str, int], in_vain: Mapping[str, str]
    ) -> list[Candidate]:
        # What an earlier call of this has asked about belongs to the first of this run.
        judged_here = self._connection.execute(sql("judged_by_run"), self._key).fetchone() or {"count": 0}
        return to_ask(candidates, {**known, **in_vain}, self._terms.top - judged_here["count"])

    def _unfit(self) -> str:
        """Say why nothing may be asked for this run at all; nothing when it may."""
        if self._run["held_because"]:
            return f"the run is held: {self._run['held_because']}"
        if self._run["base_url"] != self._api.base_url:
            return f"the run was opened for {self._run['base_url']}, and ours is {self._api.base_url}"
        return ""

    async def _make(self, asking: Asking, waiting: Sequence[Candidate]) -> None:
        room, tasks = asyncio.Semaphore(AT_ONCE), set[asyncio.Task[None]]()
        why, begun = "", 0
        for one in waiting:
            await room.acquire()
            tasks -= _done(tasks)
            least = asking.least_usd(one.finding)
            while True:
                why = await self._not_now()
                row = why or self._admission.write(one, asking.prompt, least)
                if why or not isinstance(row, str) or not tasks:
                    break
                # What is under way gives back what it does not use: it is waited for before anything is left out.
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                tasks -= _done(tasks)
            if isinstance(row, str):
                why = row
                break
            begun += 1
            task = asyncio.create_task(self._hold(asking, one, row))
            task.add_done_callback(lambda _: room.release())
            tasks.add(task)
        await asyncio.gather(*tasks)
        self._leave([one.finding for one in waiting[begun:]], f"not checked: {why}")

    async def _not_now(self) -> str:
        """Wait until one more conversation may be begun; says why it may not be any more."""
        # Others go on while this one waits for its turn.
        return self._api_is_away() or await self._admission.not_now() or self._api_is_away()

    def _api_is_away(self) -> str:
        if self._failures < MOST_FAILURES:
            return ""
        return f"{self._failures} conversations in a row came to nothing, the last one: {self._last_failure}"

    async def _hold(self, asking: Asking, one: Candidate, row: Row) -> None:
        """Hold one finding against the repository, and write down what came of it."""
        reached(FaultPoint.CHECK_WRITTEN)
        timeout = min(LONGEST, publish_at(self._run["opened_at"], self._run["deadline"]) - self._clock())
        conversation, said = await asking.about(one.finding, row["most_usd"], timeout)
        reached(FaultPoint.CHECK_ANSWERED)
        note = _storable(said if isinstance(said, str) else said.reason)
        verdict = None if isinstance(said, str) else said.verdict
        pieces = () if isinstance(said, str) else said.evidence
        evidence = [{name: _storable(value) for name, value in asdict(piece).items()} for piece in pieces]
        with self._connection.transaction():
            self._connection.execute(
                sql("end_check"),
                {
                    "check_id": row["check_id"],
                    "verdict": verdict,
                    "note": note,
                    "evidence": orjson.dumps(evidence).decode(),
                    "cost_usd": conversation.cost_usd,
                    "risked_usd": conversation.risked_usd,
                    "turns": len(conversation.turns),
                    "input_tokens": conversation.usage.prompt_tokens,
                    "output_tokens": conversation.usage.output_tokens,
                    "now": self._clock(),
                },
            )
            failed = f"asked, and no verdict came: {note}"
            self._note(one.finding, row["check_id"] if verdict else None, None if verdict else failed)
        reached(FaultPoint.CHECK_STORED)
        self._asked += verdict is not None
        self._left += verdict is None
        self._failures = 0 if conversation.turns else self._failures + 1
        self._last_failure = note
        _log.info("%s:%s %s: %s", one.finding.path, one.finding.line_start, verdict or "no verdict", note)

    def _leave(self, findings: Sequence[Finding], why: str) -> None:
        with self._connection.transaction():
            for finding in findings:
                self._note(finding, None, _storable(why))
        self._left += len(findings)

    def _note(self, finding: Finding, check_id: int | None, why: str | None) -> None:
        values = {"fingerprint": finding.fingerprint, "check_id": check_id, "note": why}
        self._connection.execute(sql("note_checked_finding"), {**self._key, **values})


def _severe_beside(report: Report, files: TrackedFiles) -> Iterable[Finding]:
    """Yield severe findings of the workflow beside a report that it looks for itself, where they still stand."""
    for one in report.beside.findings if report.beside else ():
        if worth_a_check(one.finding, report.categories) and (text := text_of(files, one.finding.path)) is not None:
            lines = standing(one.finding, text)
            if lines is not None:
                yield replace(one.finding, line_start=lines[0], line_end=lines[1])


def _done(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Return those that are done, raising what one of them raised."""
    done = {task for task in tasks if task.done()}
    for task in done:
        task.result()
    return done


def _storable(value: Any) -> Any:  # noqa: ANN401  a text or a number
    # PostgreSQL's text and jsonb cannot hold NUL, which JSON can.
    return value.replace("\0", " ") if isinstance(value, str) else value
