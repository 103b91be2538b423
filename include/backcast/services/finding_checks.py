"""Holds the findings that come first in a run's report against the repository, before it is published."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import orjson

from backcast.anthropic_api.structured import output_config
from backcast.domain.addressing import says, speaks_to_the_model
from backcast.domain.audit import Candidate, check_key, judged, standing, to_ask, worth_a_check
from backcast.domain.errors import InputError
from backcast.domain.rescue import last_call_at, publish_at
from backcast.domain.workflow import digest
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.runs import load_run, rescue_terms_of, selection_of
from backcast.prompt_templates import render_check
from backcast.reports.ranking import ranked
from backcast.services.acceptance import Judge
from backcast.services.advice import chosen
from backcast.services.audit import terms_of
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.holds import goes_on
from backcast.services.locks import tried_checks
from backcast.services.publish import foreseen, reports_findings
from backcast.services.repository_tools import RepositoryTools, ToolLimits
from backcast.services.tool_loop import Bounds, converse, most_usd_of_first_turn
from backcast.settings import load_check_prompt, load_model
from backcast.sources.tracked import NotReadableError, TrackedFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.domain.audit import CheckTerms, Judged
    from backcast.domain.report import Finding, Report
    from backcast.domain.tools import Tool
    from backcast.domain.workflow import PromptVersion
    from backcast.services.calls import Pause
    from backcast.services.open_run import Clock
    from backcast.services.tool_loop import Conversation

AT_ONCE: Final = 3
LONGEST: Final = timedelta(minutes=5)
# What was paid for so often, or may have been, without a verdict is not asked again.
MOST_IN_VAIN: Final = 3
# After so many conversations in a row that did not come to a first message, the API is taken to be away.
MOST_FAILURES: Final = 3
# A verdict with its quotations; what is thought aloud before a tool is called is short.
MAX_TOKENS: Final = 2_048
# Of what a run may spend on checks, one may take such a part, so that a process that dies risks little of it; but no
# less than so many times its first turn, which lets it read a file or two: with less it would be paid for in vain.
_PARTS: Final = 8
_LEAST_TURNS: Final = 3
# What one conversation is reckoned to ask of the API, where rescues have their share of it by the minute.
_USUAL_TURNS: Final = 4
_USUAL_TOKENS: Final = 8_000
_YIELD_SECONDS: Final = 5.0
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
        until = _last_begin(run) if stop_at is None else min(_last_begin(run), stop_at)
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


def _last_begin(run: Row) -> datetime:
    return last_call_at(run["opened_at"], run["deadline"], rescue_terms_of(run).rate.longest_call)


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
        self._terms, self._cache, self._pause, self._stop_at = terms, cache, pause, stop_at
        self._key = {"run_id": run["run_id"]}
        self._known = self._asked = self._left = self._failures = 0
        self._waits = False
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
            asking = _Asking(self._api, self._clock, self._run, self._terms, prompt, files)
        except InputError as error:
            # Such as a model that is not among ours any more: no reason to keep the report back.
            self._leave([one.finding for one in waiting], f"not checked: {error}")
        else:
            asyncio.run(self._make(asking, waiting))

    def give_up(self, why: str) -> Checked:
        """Check nothing, since somebody else holds the checks; what is known, or what that one writes down, stays."""
        self._waits = self._clock() <= _last_begin(self._run)
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
        return Checked(self._known, self._asked, self._left, self._left if self._waits else 0)

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
            digest(finding.fingerprint, _told(finding)),
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

    async def _make(self, asking: _Asking, waiting: Sequence[Candidate]) -> None:
        room, tasks = asyncio.Semaphore(AT_ONCE), set[asyncio.Task[None]]()
        why, begun = "", 0
        for one in waiting:
            await room.acquire()
            tasks -= _done(tasks)
            least = asking.least_usd(one.finding)
            while True:
                why = await self._not_now()
                row = why or self._write(one, asking.prompt, least)
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
        """Wait until the API may be asked about one more finding; says why it may not be any more.

        Rescues that are due no later go first: they keep a promise, and a check does not.
        """
        last, at = _last_begin(self._run), self._clock()
        workspace, rate = self._api.workspace, rescue_terms_of(self._run).rate
        key = {**self._key, "key_fingerprint": workspace["key_fingerprint"]}
        reserved = False
        while True:
            now = self._clock()
            if self._failures >= MOST_FAILURES:
                return f"{self._failures} conversations in a row came to nothing, the last one: {self._last_failure}"
            if max(now, at) > last:
                return f"no time: the report is due at {self._run['deadline']:%Y-%m-%d %H:%M} UTC"
            if self._stop_at is not None and max(now, at) > self._stop_at:
                self._waits = True
                return "no time yet"
            if at > now:
                await self._pause((at - now).total_seconds())
            elif self._connection.execute(sql("goes_before"), {**key, "now": now}).fetchone():
                await self._pause(_YIELD_SECONDS)
            elif reserved:
                return ""
            else:
                share = {
                    "a_request": timedelta(minutes=_USUAL_TURNS / rate.requests_per_minute),
                    "the_tokens": timedelta(minutes=_USUAL_TOKENS / rate.tokens_per_minute),
                }
                row = self._connection.execute(sql("reserve_capacity"), {**workspace, **share, "now": now}).fetchone()
                at, reserved = (row or {"at": now})["at"], True

    def _write(self, one: Candidate, prompt: PromptVersion, least: Decimal) -> Row | str:
        """Write a conversation down with the most that it may cost, or say why it may not be begun."""
        with self._connection.transaction():
            self._connection.execute(sql("lock_budget"), {"workflow": self._run["workflow"]})
            left, told = self._left_usd()
            if left < least:
                return (
                    f"budget: of the {told} US$ {max(left, Decimal(0)):.4f} are left, and it may cost US$ {least:.4f}"
                )
            most = min(left, max(self._terms.max_usd / _PARTS, least))
            values = {
                **self._key,
                "check_key": one.check_key,
                "fingerprint": one.finding.fingerprint,
                "content_hash": one.content_hash,
                "prompt_hash": prompt.prompt_hash,
                "now": self._clock(),
                "reserved_usd": most,
            }
            row = self._connection.execute(sql("begin_check"), values).fetchone()
        if row is None:
            return "the run was held or canceled meanwhile"
        return {**row, "most_usd": most}

    def _left_usd(self) -> tuple[Decimal, str]:
        """Return what is left of the tightest of the budgets, and how that one is told."""
        committed = self._connection.execute(sql("committed_money"), self._key).fetchone() or {}
        checks = self._connection.execute(sql("money_for_checks"), self._key).fetchone() or {}
        limits = [
            (self._terms.max_usd, checks["committed_usd"], "for the checks of a run"),
            (self._run["max_usd"], committed["run_usd"], "of this run"),
            (self._run["max_usd_a_month"], committed["month_usd"], "of this workflow for the month"),
        ]
        given = [(most - spent, f"US$ {most:f} {whose}") for most, spent, whose in limits if most is not None]
        return min(given, key=lambda limit: limit[0])

    async def _hold(self, asking: _Asking, one: Candidate, row: Row) -> None:
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


class _Asking:
    """Asks about one finding after the other, or several at once, with tools on the commit of a run."""

    def __init__(  # noqa: PLR0913, PLR0917  what all conversations share
        self,
        api: MessageBatchesApi,
        clock: Clock,
        run: Row,
        terms: CheckTerms,
        prompt: PromptVersion,
        files: TrackedFiles,
    ) -> None:
        self._api, self._clock, self._terms, self._files = api, clock, terms, files
        self.prompt, self._model, self._structured = prompt, load_model(run["model"]), run["structured"]
        self._rendered, self._judge = render_check(prompt), Judge(prompt.answer_schema)

    def least_usd(self, finding: Finding) -> Decimal:
        """Return with how much less nothing is asked about a finding."""
        return _LEAST_TURNS * most_usd_of_first_turn(self._model, self._params(finding), self._tools()[1])

    async def about(
        self,
        finding: Finding,
        most: Decimal,
        timeout: timedelta,  # noqa: ASYNC109  an end of it is an outcome
    ) -> tuple[Conversation, Judged | str]:
        """Ask about a finding, and return the conversation with what it is worth, or why there is no verdict."""
        repository, tools = self._tools()
        conversation = await converse(
            self._api,
            self._clock,
            self._model,
            self._params(finding),
            tools=tools,
            bounds=Bounds(self._terms.max_turns, most, timeout),
        )
        if conversation.reason or conversation.result is None:
            return conversation, conversation.reason or "no answer"
        verdict = self._judge.verdict(conversation.result, "")
        if verdict.answer is None:
            return conversation, f"{verdict.cause}: {verdict.detail}"
        return conversation, judged(verdict.answer, self._text_of, _speaking(finding, repository))

    def _tools(self) -> tuple[RepositoryTools, list[Tool]]:
        # Each conversation has its own, which remember what they have shown.
        repository = RepositoryTools(self._files, ToolLimits())
        return repository, chosen(repository.tools(), self._terms.client_tools)

    def _params(self, finding: Finding) -> dict[str, Any]:
        structured = output_config(self.prompt.answer_schema) if self._structured else {}
        return {
            "model": self._model.name,
            "max_tokens": min(MAX_TOKENS, self._model.max_output_tokens),
            # Each turn sends all that came before, which is read from the cache for a tenth of its price.
            "cache_control": {"type": "ephemeral"},
            "system": [{"type": "text", "text": self._rendered.system}],
            **structured,
            "messages": [{"role": "user", "content": self._rendered.shown(finding.path, _told(finding))}],
        }

    def _text_of(self, path: str) -> str | None:
        return _text(self._files, path)


def _told(finding: Finding) -> str:
    """Return a finding as the model is told of it."""
    names = ("path", "line_start", "line_end", "category", "severity", "title", "why", "evidence", "suggestion")
    return orjson.dumps({name: getattr(finding, name) for name in names}, option=orjson.OPT_INDENT_2).decode()


def _speaking(finding: Finding, repository: RepositoryTools) -> str:
    """Return what a model was shown that seems to speak to it; empty when nothing does.

    A finding is by a model that read the file, and may repeat what the file told it to.
    """
    told = (finding.title, finding.why, finding.suggestion, finding.evidence)
    if any(speaks_to_the_model(text) for text in told):
        return "the finding itself"
    if says(finding.path):
        return "the file's name"
    return next((f"{one.path}:{one.line}" for one in repository.suspicions.values()), "")


def _severe_beside(report: Report, files: TrackedFiles) -> Iterable[Finding]:
    """Yield severe findings of the workflow beside a report that it looks for itself, where they still stand."""
    for one in report.beside.findings if report.beside else ():
        if worth_a_check(one.finding, report.categories) and (text := _text(files, one.finding.path)) is not None:
            lines = standing(one.finding, text)
            if lines is not None:
                yield replace(one.finding, line_start=lines[0], line_end=lines[1])


def _text(files: TrackedFiles, path: str) -> str | None:
    try:
        return files.read(path, ToolLimits().file_bytes)
    except (InputError, NotReadableError):
        return None


def _done(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Return those that are done, raising what one of them raised."""
    done = {task for task in tasks if task.done()}
    for task in done:
        task.result()
    return done


def _storable(value: Any) -> Any:  # noqa: ANN401  a text or a number
    # PostgreSQL's text and jsonb cannot hold NUL, which JSON can.
    return value.replace("\0", " ") if isinstance(value, str) else value
