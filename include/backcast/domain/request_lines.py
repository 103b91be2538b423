"""Requests as a file holds them: one line of JSON each, `{"custom_id": …, "params": {…}}`, as the API takes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from backcast.domain.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_LINE: Final = 32_000_000
_CUSTOM_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LIKE: Final = (
    '{"custom_id": "a-1", "params": {"model": "claude-haiku-4-5", "max_tokens": 1024, "messages": [{"role": "user", '
    '"content": "…"}]}}'
)
# What the API runs by itself; whatever else is named as a tool, somebody must run in mid-answer.
_SERVER_TOOLS: Final = ("web_search_", "web_fetch_", "code_execution_", "tool_search_tool_", "mcp_toolset")
# What the API says yes to one by one and only refuses a day later, in the results.
_NOT_IN_A_BATCH: Final = {"stream": "answers of a batch are not streamed", "speed": "a batch has no speed"}


@dataclass(frozen=True, slots=True)
class RequestLine:
    """One request: its id, and what of its `params` decides how it is sent and paid for.

    `answer_schema` whether it has a JSON schema of its own, in `output_config`.
    """

    custom_id: str
    params: Mapping[str, Any]
    model: str
    max_tokens: int
    answer_schema: bool


def request_of(parsed: object, number: int, *, allow_tool_stop: bool) -> RequestLine:
    """Return the request that a line holds.

    Args:
        parsed: the line's JSON.
        number: the line, from 1.
        allow_tool_stop: whether an answer may be a call of a tool that nobody runs.

    Raises:
        InputError: it is none; the message says what to write.
    """
    if not isinstance(parsed, dict):
        raise wrong(number, f"it is no object; write {_LIKE}")
    if extra := sorted(parsed.keys() - {"custom_id", "params"}):
        raise wrong(number, f"{extra[0]!r} is not a part of a request: there are only custom_id and params")
    custom_id, params = parsed.get("custom_id"), parsed.get("params")
    if not isinstance(custom_id, str) or not _CUSTOM_ID.fullmatch(custom_id):
        raise wrong(number, f"custom_id is {custom_id!r}: write 1 to 64 letters, digits, hyphens and underscores")
    if not isinstance(params, dict):
        raise wrong(number, f"params is {'missing' if params is None else 'no object'}; write {_LIKE}")
    if not allow_tool_stop and (tool := _client_tool(params)):
        raise wrong(
            number,
            f"the tool {tool!r} would have to be run in mid-answer, which nobody does in a batch: leave it out, or "
            "take the call of a tool for an answer with --allow-tool-stop",
        )
    return _of_params(custom_id, params, number)


def _of_params(custom_id: str, params: Mapping[str, Any], number: int) -> RequestLine:
    model, max_tokens = params.get("model"), params.get("max_tokens")
    if not isinstance(model, str):
        raise wrong(number, f"params.model is {model!r}: name the model")
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 1:
        raise wrong(number, f"params.max_tokens is {max_tokens!r}: write how many tokens an answer may have at most")
    if not isinstance(params.get("messages"), list) or not params["messages"]:
        raise wrong(number, "params.messages is no list with at least one message")
    for name, why in _NOT_IN_A_BATCH.items():
        if params.get(name):
            raise wrong(number, f"params.{name} cannot be used, since {why}: leave it out")
    return RequestLine(custom_id, params, model, max_tokens, schema_of(params) is not None)


def schema_of(params: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the JSON schema that a request asks the API to keep to, if it does."""
    config = params.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    schema = wanted.get("schema") if isinstance(wanted, dict) else None
    return schema if isinstance(schema, dict) else None


def wrong(number: int, what: str) -> InputError:
    """Return the error that says what is wrong with a line."""
    return InputError(f"line {number}: {what}.")


def _client_tool(params: Mapping[str, Any]) -> str | None:
    tools = params.get("tools")
    for tool in tools if isinstance(tools, list) else []:
        kind = str(tool.get("type") or "custom") if isinstance(tool, dict) else "custom"
        if not kind.startswith(_SERVER_TOOLS):
            return str(tool.get("name", kind)) if isinstance(tool, dict) else str(tool)
    return None
