"""Asks synchronously, and runs tools in mid-answer: no more turns, money and time than allowed, and an honest end."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson

from backcast.anthropic_api.messages import Answered, Lost, Refused
from backcast.anthropic_api.tool_turns import ToolConversation
from backcast.domain.pricing import Usage, estimate_tokens, synchronous_cost
from backcast.services.ingest import usage_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.anthropic_api.messages import AsyncClient
    from backcast.anthropic_api.tool_turns import NextTurn, Turn
    from backcast.domain.pricing import Model
    from backcast.domain.tools import Tool
    from backcast.services.open_run import Clock

State: TypeAlias = Literal["unsent", "answered", "refused", "lost"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a conversation may go.

    Attributes:
        max_turns: how many messages the model may write.
        max_usd: what they may cost together, in US$; None: no limit.
        timeout: how long all of it may take, tools included.
    """

    max_turns: int
    max_usd: Decimal | None
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class AnsweredTurn:
    """What one message cost, and which tools it asked for, each with its input."""

    usage: Usage
    cost_usd: Decimal
    seconds: float
    asked: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """How a conversation ended.

    Attributes:
        state: `answered` once the model wrote anything; else what became of the first request.
        reason: why there is no answer; empty when the model came to its end by itself.
        result: its last message, as the `result` of a row of a batch would have it; None when it wrote nothing.
        turns: each of its messages.
        risked_usd: what requests without a known end, such as those that were sent again, may have cost at most.
        sent_at: when the first request was sent, in UTC.
        ended_at: when it was over, in UTC.
        simulated: whether a simulator answered.
    """

    state: State
    reason: str
    result: dict[str, Any] | None
    turns: tuple[AnsweredTurn, ...]
    risked_usd: Decimal
    sent_at: datetime
    ended_at: datetime
    simulated: bool

    @property
    def cost_usd(self) -> Decimal:
        """What all of its messages cost."""
        return sum((turn.cost_usd for turn in self.turns), Decimal(0))

    @property
    def usage(self) -> Usage:
        """The tokens of all of its messages."""
        names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
        return Usage(**{name: sum(getattr(turn.usage, name) for turn in self.turns) for name in names})


def ask(  # noqa: PLR0913  who is asked, and what
    api: MessageBatchesApi,
    clock: Clock,
    model: Model,
    params: Mapping[str, Any],
    *,
    tools: Sequence[Tool],
    bounds: Bounds,
) -> Conversation:
    """Ask, run the tools that are asked for, and return how it ended; it raises nothing that an API brings about.

    Before each turn the most that it can cost is added to what the others have cost: a turn that could come over
    `max_usd` is not sent.

    Args:
        api: who answers.
        clock: tells the time in UTC.
        model: that `params` name, with its prices.
        params: of the first request, without tools.
        tools: what the model may ask for.
        bounds: how far it may go.
    """
    return asyncio.run(converse(api, clock, model, params, tools=tools, bounds=bounds))


async def converse(  # noqa: PLR0913  as above
    api: MessageBatchesApi,
    clock: Clock,
    model: Model,
    params: Mapping[str, Any],
    *,
    tools: Sequence[Tool],
    bounds: Bounds,
) -> Conversation:
    """Do as `ask`, for whoever has several conversations at once."""
    client = await api.connect()
    try:
        return await _Asking(client, clock, model, params, tools, bounds).all()
    finally:
        await client.close()


def most_usd_of_first_turn(model: Model, params: Mapping[str, Any], tools: Sequence[Tool]) -> Decimal:
    """Return the most that the first turn of a conversation can cost: with less to spend, nothing is sent."""
    return _most_usd(model, _first_tokens(params, tools), params["max_tokens"])


def _first_tokens(params: Mapping[str, Any], tools: Sequence[Tool]) -> int:
    described = [[tool.name, tool.description, dict(tool.input_schema)] for tool in tools]
    return estimate_tokens(len(orjson.dumps([dict(params), described])))


def _most_usd(model: Model, prompt_tokens: int, max_tokens: int) -> Decimal:
    # As if all of it were written to the cache, which costs more than to send it.
    return synchronous_cost(model, Usage(cache_write_5m_tokens=prompt_tokens, output_tokens=max_tokens))


@dataclass(slots=True)
class _Asking:
    client: AsyncClient
    clock: Clock
    model: Model
    params: Mapping[str, Any]
    tools: Sequence[Tool]
    bounds: Bounds
    _turns: list[AnsweredTurn] = field(default_factory=list)
    _last: Turn | None = None
    _risked: Decimal = Decimal(0)
    _began: float = field(default_factory=time.monotonic)

    async def all(self) -> Conversation:
        sent_at = self.clock()
        talk = ToolConversation(self.client, self.params, self.tools, self.bounds.timeout)
        prompt_tokens = _first_tokens(self.params, self.tools)
        try:
            while True:
                if why := self._too_far(prompt_tokens):
                    return self._ended(sent_at, "unsent", why)
                started, before, most = time.monotonic(), talk.lost, self._most_usd(prompt_tokens)
                reply = await talk.next_turn(self._left(), self._covered(most))
                # What the SDK has sent again may have been paid for as well.
                self._risked += (talk.lost - before) * most
                if isinstance(reply, Answered | Refused | Lost):
                    return self._broken(sent_at, reply, most)
                turn = self._keep(reply, time.monotonic() - started)
                if reply.message["stop_reason"] not in {"tool_use", "pause_turn"}:
                    return self._ended(sent_at, "answered", "")
                brought = 0
                if reply.message["stop_reason"] == "tool_use":
                    brought = await talk.run_tools(self._left())
                prompt_tokens = turn.usage.prompt_tokens + turn.usage.output_tokens + estimate_tokens(brought)
        except TimeoutError:
            return self._ended(sent_at, "answered", self._too_late())
        finally:
            await talk.close()

    def _keep(self, reply: Turn, seconds: float) -> AnsweredTurn:
        usage = usage_of(reply.message)
        uses = [block for block in reply.message.get("content", []) if block.get("type") == "tool_use"]
        asked = tuple((str(block.get("name")), block.get("input")) for block in uses)
        turn = AnsweredTurn(usage, synchronous_cost(self.model, usage), seconds, asked)
        self._turns.append(turn)
        self._last = reply
        return turn

    def _too_far(self, prompt_tokens: int) -> str:
        if len(self._turns) >= self.bounds.max_turns:
            return f"no answer within {self.bounds.max_turns} turns"
        if self._seconds_left() <= 0:
            return self._too_late()
        spent, most = self._spent(), self._most_usd(prompt_tokens)
        if self.bounds.max_usd is not None and spent + most > self.bounds.max_usd:
            return (
                f"budget: US$ {spent:.4f} are spent, and the next turn can cost US$ {most:.4f}, which is more than the "
                f"US$ {self.bounds.max_usd:f} that all of it may cost"
            )
        return ""

    def _too_late(self) -> str:
        return f"no answer within {self.bounds.timeout.total_seconds():g} s"

    def _spent(self) -> Decimal:
        return sum((turn.cost_usd for turn in self._turns), self._risked)

    def _covered(self, most: Decimal) -> int:
        """Return how often a turn that can cost so much may be paid for."""
        if self.bounds.max_usd is None or not most:
            return sys.maxsize
        return int((self.bounds.max_usd - self._spent()) // most)

    def _most_usd(self, prompt_tokens: int) -> Decimal:
        return _most_usd(self.model, prompt_tokens, self.params["max_tokens"])

    def _seconds_left(self) -> float:
        return self._began + self.bounds.timeout.total_seconds() - time.monotonic()

    def _left(self) -> timedelta:
        return timedelta(seconds=max(0.001, self._seconds_left()))

    def _broken(self, sent_at: datetime, reply: NextTurn, most: Decimal) -> Conversation:
        match reply:
            case Lost(why):
                return self._ended(sent_at, "lost", why, risked_usd=most)
            case Refused(why):
                return self._ended(sent_at, "refused", why)
            case Answered(result):
                inner = (result.get("error") or {}).get("error") or {}
                why = f"{inner.get('type')}: {inner.get('message')}"
                return self._ended(sent_at, "refused", why)
        raise TypeError(reply)

    def _ended(self, sent_at: datetime, state: State, reason: str, risked_usd: Decimal = Decimal(0)) -> Conversation:
        last = self._last
        return Conversation(
            # What was answered is paid for, whatever came of what followed.
            state="answered" if last else state,
            reason=reason,
            result={"type": "succeeded", "message": last.message} if last else None,
            turns=tuple(self._turns),
            risked_usd=self._risked + risked_usd,
            sent_at=sent_at,
            ended_at=self.clock(),
            simulated=last.simulated if last else False,
        )
