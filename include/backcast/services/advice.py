"""Asks a model for advice about a repository, which it looks into by tools that run in mid-answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from backcast.anthropic_api.structured import output_config
from backcast.domain.advice import Advice, AdviceReport, LeftOut, Suspicious, ToolTurn, place_of, worst_first
from backcast.domain.errors import InputError
from backcast.domain.failures import Cause
from backcast.domain.workflow import digest
from backcast.prompt_templates import render
from backcast.services.acceptance import Judge, Verdict, rejected
from backcast.services.repository_tools import RepositoryTools, ToolLimits
from backcast.services.tool_loop import Bounds, Conversation, ask
from backcast.sources.tracked import NotReadableError, TrackedFiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.domain.pricing import Usage
    from backcast.domain.tools import Tool
    from backcast.domain.workflow import RunSettings
    from backcast.services.open_run import Clock
    from backcast.services.tool_loop import State

MAX_TURNS: Final = 24
# What the model is shown first: where it may begin to look.
_MOST_FILES_NAMED: Final = 200
_REPOSITORY: Final = "repository"


@dataclass(frozen=True, slots=True)
class AdviceCall:
    """The one conversation, as the ledger keeps it: its last message, with the tokens and the cost of all of them."""

    name: str
    language: str
    text: str
    conversation: Conversation
    verdict: Verdict | None

    @property
    def state(self) -> State:
        """Whether it was sent, and whether its end is known."""
        return self.conversation.state

    @property
    def note(self) -> str:
        """Why it has no answer; empty when it has."""
        return self.conversation.reason

    @property
    def sent_at(self) -> datetime:
        """When, in UTC."""
        return self.conversation.sent_at

    @property
    def ended_at(self) -> datetime:
        """The same."""
        return self.conversation.ended_at

    @property
    def result(self) -> dict[str, Any] | None:
        """The last message, as the row of a batch would have it."""
        return self.conversation.result

    @property
    def usage(self) -> Usage:
        """The tokens of all messages."""
        return self.conversation.usage

    @property
    def cost_usd(self) -> Decimal:
        """What all messages cost."""
        return self.conversation.cost_usd

    @property
    def risked_usd(self) -> Decimal:
        """What a request without a known end may have cost at most."""
        return self.conversation.risked_usd


@dataclass(frozen=True, slots=True)
class Advised:
    """A report, and what was asked for it."""

    report: AdviceReport
    calls: tuple[AdviceCall, ...]
    opened_at: datetime

    @property
    def repository(self) -> str:
        """A path, or a URL without credentials."""
        return self.report.repository

    @property
    def commit(self) -> str:
        """Its full id."""
        return self.report.commit

    @property
    def simulated(self) -> bool:
        """Whether a simulator answered."""
        return self.report.simulated

    @property
    def left_out(self) -> tuple[()]:
        """Nothing: there is one thing that is asked about."""
        return ()


def advise(  # noqa: PLR0913  a service is given its API and clock
    api: MessageBatchesApi,
    clock: Clock,
    settings: RunSettings,
    tool_names: Sequence[str],
    *,
    cache: Path,
    max_turns: int = MAX_TURNS,
    limits: ToolLimits | None = None,
) -> Advised:
    """Ask for advice about the commit that `settings.ref` names; takes the workflow's SLA at most, git aside.

    Advice whose quotation does not stand in the file that it names is left out, with the reason.

    Args:
        api: who answers.
        clock: tells the time in UTC.
        settings: the workflow's; its budget of a run holds for the whole conversation.
        tool_names: what the workflow declares as `client_tools`.
        cache: where clones of remote repositories are kept.
        max_turns: how many messages the model may write.
        limits: how much a tool does.

    Raises:
        InputError: there is no such repository, commit or tool, or git cannot read it.
    """
    opened_at, started = clock(), time.monotonic()
    with TrackedFiles(settings.repository, settings.ref, cache, settings.selection) as files:
        repository_tools = RepositoryTools(files, limits or ToolLimits())
        tools = chosen(repository_tools.tools(), tool_names)
        text = _asked(settings, files, repository_tools)
        bounds = Bounds(max_turns, settings.budget.run, settings.sla)
        conversation = ask(api, clock, settings.model, _params(settings, text), tools=tools, bounds=bounds)
        verdict = _judged(settings, conversation)
        advice, left_out = _supported(files, repository_tools.limits, verdict)
        suspicious = repository_tools.suspicions.values()
        report = AdviceReport(
            workflow=settings.workflow,
            repository=files.repository,
            ref=settings.ref,
            commit=files.commit,
            model=settings.model.name,
            prompt=settings.prompt.version,
            simulated=conversation.simulated,
            lock_files=tuple(repository_tools.lock_files()),
            summary=str(((verdict and verdict.answer) or {}).get("summary", "")),
            advice=advice,
            left_out=left_out,
            unanswered=_unanswered(conversation, verdict),
            suspicious=tuple(Suspicious(one.path, one.line, one.what) for one in suspicious),
            turns=tuple(_turns(conversation)),
            cost_usd=conversation.cost_usd,
            risked_usd=conversation.risked_usd,
            seconds=time.monotonic() - started,
        )
    call = AdviceCall(_REPOSITORY, "", text, conversation, verdict)
    return Advised(report, (call,), opened_at)


def chosen(tools: Sequence[Tool], names: Sequence[str]) -> list[Tool]:
    """Return the tools of these names.

    Raises:
        InputError: there is none of a name.
    """
    known = {tool.name: tool for tool in tools}
    for name in names:
        if name not in known:
            raise InputError(f"client_tools: there is no tool {name!r} here. Write some of {', '.join(known)}.")
    return [known[name] for name in names]


def _asked(settings: RunSettings, files: TrackedFiles, tools: RepositoryTools) -> str:
    named = tools.lock_files()
    lines = [f"{path} ({files.size(path):,} bytes)" for path in named[:_MOST_FILES_NAMED]]
    more = len(named) - len(lines)
    listed = "\n".join([*lines, *([f"and {more} more"] if more else [])]) or "none"
    fence = digest(files.commit, listed)
    return render(settings.prompt).shown(_REPOSITORY, "", fence, listed)


def _params(settings: RunSettings, text: str) -> dict[str, Any]:
    structured = output_config(settings.prompt.answer_schema) if settings.structured else {}
    return {
        "model": settings.model.name,
        "max_tokens": settings.max_tokens,
        # Each turn sends all that came before, which is read from the cache for a tenth of its price.
        "cache_control": {"type": "ephemeral"},
        "system": [{"type": "text", "text": render(settings.prompt).system}],
        **structured,
        "messages": [{"role": "user", "content": text}],
    }


def _judged(settings: RunSettings, conversation: Conversation) -> Verdict | None:
    if conversation.result is None:
        return None
    if conversation.reason:
        return rejected(Cause.WANTS_TOOLS, conversation.reason)
    return Judge(settings.prompt.answer_schema).verdict(conversation.result, "")


def _unanswered(conversation: Conversation, verdict: Verdict | None) -> str:
    if conversation.reason or verdict is None:
        return conversation.reason
    return "" if verdict.answer is not None else f"{verdict.cause}: {verdict.detail}"


def _supported(
    files: TrackedFiles, limits: ToolLimits, verdict: Verdict | None
) -> tuple[tuple[Advice, ...], tuple[LeftOut, ...]]:
    kept, left_out = [], []
    for one in ((verdict and verdict.answer) or {}).get("advice", []):
        try:
            line = place_of(one["evidence"], files.read(one["path"], limits.file_bytes))
        except NotReadableError as error:
            left_out.append(LeftOut(one["title"], f"it names {one['path']}, which is {error}"))
            continue
        if line is None:
            left_out.append(LeftOut(one["title"], f"it quotes what is not in {one['path']}"))
            continue
        names = ("path", "severity", "kind", "package", "title", "why", "suggestion", "evidence")
        kept.append(Advice(line=line, **{name: one[name] for name in names}))
    return worst_first(kept), tuple(left_out)


def _turns(conversation: Conversation) -> list[ToolTurn]:
    return [
        ToolTurn(
            tuple(name for name, _ in turn.asked),
            turn.usage.prompt_tokens,
            turn.usage.output_tokens,
            turn.cost_usd,
            turn.seconds,
        )
        for turn in conversation.turns
    ]
