"""Asks a model about a finding, with tools on the commit that it is of, and judges what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from backcast.anthropic_api.structured import output_config
from backcast.domain.addressing import says, speaks_to_the_model
from backcast.domain.audit import judged
from backcast.domain.errors import InputError
from backcast.prompt_templates import render_check
from backcast.services.acceptance import Judge
from backcast.services.advice import chosen
from backcast.services.repository_tools import RepositoryTools, ToolLimits
from backcast.services.tool_loop import Bounds, converse, most_usd_of_first_turn
from backcast.settings import load_model
from backcast.sources.tracked import NotReadableError, TrackedFiles

if TYPE_CHECKING:
    from datetime import timedelta
    from decimal import Decimal

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.domain.audit import CheckTerms, Judged
    from backcast.domain.report import Finding
    from backcast.domain.tools import Tool
    from backcast.domain.workflow import PromptVersion
    from backcast.ledger.connection import Row
    from backcast.services.open_run import Clock
    from backcast.services.tool_loop import Conversation

# A verdict with its quotations; what is thought aloud before a tool is called is short.
MAX_TOKENS: Final = 2_048
# It lets the model read a file or two: with less a conversation would be paid for in vain.
_LEAST_TURNS: Final = 3


class Asking:
    """Asks about one finding after the other, or several at once, with tools on the commit of a run.

    Raises:
        InputError: the run's model is not among ours any more, or the prompt cannot be rendered.
    """

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
            "messages": [{"role": "user", "content": self._rendered.shown(finding.path, told(finding))}],
        }

    def _text_of(self, path: str) -> str | None:
        return text_of(self._files, path)


def told(finding: Finding) -> str:
    """Return a finding as the model is told of it."""
    names = ("path", "line_start", "line_end", "category", "severity", "title", "why", "evidence", "suggestion")
    return orjson.dumps({name: getattr(finding, name) for name in names}, option=orjson.OPT_INDENT_2).decode()


def text_of(files: TrackedFiles, path: str) -> str | None:
    """Return the text of a file; None when there is none that a model may read."""
    try:
        return files.read(path, ToolLimits().file_bytes)
    except (InputError, NotReadableError):
        return None


def _speaking(finding: Finding, repository: RepositoryTools) -> str:
    """Return what a model was shown that seems to speak to it; empty when nothing does.

    A finding is by a model that read the file, and may repeat what the file told it to.
    """
    texts = (finding.title, finding.why, finding.suggestion, finding.evidence)
    if any(speaks_to_the_model(text) for text in texts):
        return "the finding itself"
    if says(finding.path):
        return "the file's name"
    return next((f"{one.path}:{one.line}" for one in repository.suspicions.values()), "")
