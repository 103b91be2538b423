"""A conversation in which the model may ask for tools, turn by turn: the SDK's tool runner, with an end to each step.

The runner is the SDK's one for tools. It speaks to `/v1/messages` with `?beta=true`, asks for no beta, and by
`thread=False` keeps no state at the API: every turn sends the whole conversation.
"""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import anthropic
import orjson
from anthropic.lib.tools import BetaAsyncBuiltinFunctionTool, ToolError
from jsonschema import Draft202012Validator

from backcast.anthropic_api.batches import SIMULATOR_HEADER, text_of
from backcast.anthropic_api.messages import RETRIES, Answered, AsyncClient, Lost, Refused, explained
from backcast.anthropic_api.tries import Tries
from backcast.domain.tools import ToolInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from anthropic.types.beta import BetaToolUnionParam

    from backcast.domain.tools import Tool

_LONGEST_COMPLAINT = 500


@dataclass(frozen=True, slots=True)
class Turn:
    """What the model said: a message as the API would have it, and whether a simulator said it."""

    message: dict[str, Any]
    simulated: bool


# An `Answered` says here what is wrong with the request.
NextTurn: TypeAlias = Turn | Answered | Refused | Lost


class ToolConversation:
    """Asks, runs the tools that the model asks for, and asks on.

    What the model may ask for is fixed by `tools`: another name, what does not fit a tool's schema, and whatever goes
    wrong in a tool get an error as their result, which the model is told.

    Args:
        client: who is asked.
        params: of the first request, without tools.
        tools: what the model may ask for.
        timeout: for one request, each of its retries included.
        retries: how often the SDK may send a turn again before its answer begins; after that it is paid for.
    """

    def __init__(
        self,
        client: AsyncClient,
        params: Mapping[str, Any],
        tools: Sequence[Tool],
        timeout: timedelta,
        *,
        retries: int = RETRIES,
    ) -> None:
        seconds = timeout.total_seconds()
        self._tries = Tries()
        patient = client.with_options(
            max_retries=retries, timeout=seconds, middleware=[*client.middleware, self._tries.one]
        )
        # By their names alone the arguments are those of the API, which checks them.
        given: dict[str, Any] = {**params, "tools": [_Runnable(tool) for tool in tools]}
        self._runner = patient.beta.messages.tool_runner(**given, stream=True, thread=False)

    @property
    def lost(self) -> int:
        """How many tries that may be paid for were followed by another."""
        return self._tries.lost

    async def next_turn(self, timeout: timedelta, most_paid: int) -> NextTurn:  # noqa: ASYNC109  running into it is an outcome
        """Send what was said and brought so far, and return what the model says to it, after `timeout` at the latest.

        What may have been answered is sent again as long as that makes no more than `most_paid` tries that may be paid
        for.

        Raises:
            StopAsyncIteration: it had said its last.
        """
        begun = False
        self._tries.begin(most_paid)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                stream = await anext(self._runner)
                begun = True
                message = await stream.get_final_message()
                headers = stream.response.headers
        except StopAsyncIteration:
            raise
        except anthropic.APIStatusError as error:
            return Lost(f"the answer broke off: {text_of(error)}") if begun else explained(error)
        except TimeoutError:
            return Lost(f"no answer within {timeout.total_seconds():.3g} s")
        except Exception as error:  # noqa: BLE001  whatever went wrong in the SDK or in HTTP, it may have been answered
            return Lost(f"{'the answer broke off' if begun else 'no answer'}: {type(error).__name__}: {error}")
        if message.stop_reason is None:
            return Lost("the answer broke off: its stream ended too early")
        return Turn(message.to_dict(mode="json"), SIMULATOR_HEADER in headers)

    async def run_tools(self, timeout: timedelta) -> int:  # noqa: ASYNC109  as above
        """Run the tools that the last turn asks for, and return how many bytes they bring to the next one.

        Raises:
            TimeoutError: they did not end in time.
        """
        async with asyncio.timeout(timeout.total_seconds()):
            with warnings.catch_warnings():
                # The model is told that there is no tool of a name; nobody else can do anything about it.
                warnings.simplefilter("ignore", UserWarning)
                brought = await self._runner.generate_tool_call_response()
        return len(orjson.dumps(brought, default=str))

    async def close(self) -> None:
        """End it, with the answer that is being read."""
        await self._runner.close()


class _Runnable(BetaAsyncBuiltinFunctionTool):
    """A tool as the SDK's runner runs it, its input checked against its schema first."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self._validator = Draft202012Validator(tool.input_schema)

    def to_dict(self) -> BetaToolUnionParam:
        told = {
            "name": self._tool.name,
            "description": self._tool.description,
            "input_schema": dict(self._tool.input_schema),
        }
        return cast("BetaToolUnionParam", told)

    async def call(self, input: object) -> str:  # noqa: A002  the SDK's name
        wrong = next(self._validator.iter_errors(input), None)
        if wrong is not None:
            raise ToolError(f"{wrong.json_path}: {wrong.message}"[:_LONGEST_COMPLAINT])
        try:
            return await asyncio.to_thread(self._tool.run, cast("Mapping[str, Any]", input))
        except ToolInputError as error:
            raise ToolError(str(error)) from error
