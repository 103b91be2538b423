"""Replies: the answer to one request as it is delivered, in the way a rule asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from backcast_simulator.catalogue import MODELS
from backcast_simulator.prompts import CHARACTERS_PER_TOKEN, input_tokens, token_count
from backcast_simulator.structured import EnumCasing, fit, requested_schema

if TYPE_CHECKING:
    from backcast_simulator.answers import Answerer
    from backcast_simulator.rules import Rule

_NO_MODEL = "No model was asked."
_MALFORMED = '{"findings": [{"title": "This answer is no JSON,'
_UNSUPPORTED = "this line stands nowhere in the document"
_CUT_IN_HALF = ("truncated", "model_context_window_exceeded", "pause_turn")
_OWN_STOP_REASONS = {"truncated": "max_tokens"}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the answer wants to be called, and with what."""

    name: str
    input: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as it is delivered. `output_tokens` are all that were spent, `thinking_tokens` a part of them."""

    text: str
    stop_reason: str
    output_tokens: int
    thinking: str = ""
    thinking_tokens: int = 0
    tool: ToolCall | None = None
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class _Limit:
    """How many tokens an answer may have, and what it means when it comes to them."""

    tokens: int
    stop_reason: str


def reply(params: dict[str, Any], script: Rule | None, answerer: Answerer, casing: EnumCasing = "exact") -> Reply:
    """The answer to well-formed parameters, in the way the script asks for, within `max_tokens` and the window."""
    if not params["max_tokens"]:
        return Reply("", "max_tokens", 0)
    outcome = None if script is None else script.outcome
    if outcome == "refusal":
        delivered = Reply((script and script.text) or "", "refusal", 1)
    else:
        tool = _tool(params, script)
        asked = answerer.tool(params) if script is None and tool is None else None
        text = "" if asked else _text(params, script, answerer, casing)
        whole = Reply(text, "end_turn", 0, _thinking(params, script), tool=tool or asked)
        delivered = _delivered(_stopped(params, script, whole), _limit(params), outcome)
    if script is not None and script.stop_reason is not None:
        return replace(delivered, stop_reason=script.stop_reason)
    return delivered


def _text(params: dict[str, Any], script: Rule | None, answerer: Answerer, casing: EnumCasing) -> str:
    if script is not None and script.outcome == "malformed":
        return script.text or _MALFORMED
    text = answerer.answer(params) if script is None or script.text is None else script.text
    if script is not None and script.outcome == "unsupported":
        text = _without_support(text)
    schema = requested_schema(params)
    if schema is None:
        return text
    return orjson.dumps(fit(_parsed(text), schema, text, casing)).decode()


def _parsed(text: str) -> object:
    try:
        parsed: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return parsed


def _without_support(text: str) -> str:
    parsed = _parsed(text)
    findings = parsed.get("findings") if isinstance(parsed, dict) else None
    invented = {
        "title": "Not in the document", "category": "other", "severity": "high", "effort": "hours",
        "line_start": 1, "line_end": 1, "why": _NO_MODEL, "suggestion": _NO_MODEL, "confidence": 0.9,
    }  # fmt: skip
    known = [finding for finding in findings if isinstance(finding, dict)] if isinstance(findings, list) else []
    changed = [{**finding, "evidence": _UNSUPPORTED} for finding in known or [invented]]
    return orjson.dumps({"findings": changed}).decode()


def _thinking(params: dict[str, Any], script: Rule | None) -> str:
    if script is not None and script.thinking is not None:
        return script.thinking
    wanted = params.get("thinking")
    return _NO_MODEL if isinstance(wanted, dict) and wanted["type"] != "disabled" else ""


def _tool(params: dict[str, Any], script: Rule | None) -> ToolCall | None:
    tools: list[dict[str, Any]] = params.get("tools") or []
    choice = params.get("tool_choice") or {}
    by_script = script is not None and script.outcome == "tool_use"
    if by_script and script is not None and script.tool is not None:
        given = next((tool for tool in tools if tool["name"] == script.tool["name"]), {})
        return ToolCall(script.tool["name"], script.tool.get("input") or _input(given))
    if choice.get("type") == "tool":
        tools = [tool for tool in tools if tool["name"] == choice["name"]]
    if not tools or not (by_script or choice.get("type") in ("any", "tool")):
        return None
    return ToolCall(tools[0]["name"], _input(tools[0]))


def _input(tool: dict[str, Any]) -> dict[str, Any]:
    schema = tool.get("input_schema")
    made = fit({}, _safe(schema), _NO_MODEL) if isinstance(schema, dict) else {}
    return made if isinstance(made, dict) else {}


def _safe(schema: dict[str, Any]) -> dict[str, Any]:
    # A tool's schema is checked by nobody, so only what is plain in it is followed.
    properties = schema.get("properties")
    required = schema.get("required")
    plain = {
        name: {"type": part["type"]}
        for name, part in (properties.items() if isinstance(properties, dict) else ())
        if isinstance(part, dict) and part.get("type") in ("string", "integer", "number", "boolean", "array", "object")
    }
    names = required if isinstance(required, list) else []
    return {"type": "object", "properties": plain, "required": names}


def _stopped(params: dict[str, Any], script: Rule | None, whole: Reply) -> Reply:
    sequences: list[str] = params.get("stop_sequences") or []
    if script is not None and script.outcome == "stop_sequence":
        chosen = script.stop_sequence or (sequences[0] if sequences else "\n\n")
        return replace(whole, text=whole.text.split(chosen, 1)[0], stop_reason="stop_sequence", stop_sequence=chosen)
    found = [(whole.text.find(sequence), sequence) for sequence in sequences if sequence in whole.text]
    if found:
        at, sequence = min(found)
        return replace(whole, text=whole.text[:at], tool=None, stop_reason="stop_sequence", stop_sequence=sequence)
    if whole.tool is not None or (script is not None and script.outcome == "tool_use"):
        return replace(whole, stop_reason="tool_use")
    return whole


def _limit(params: dict[str, Any]) -> _Limit:
    max_tokens: int = params["max_tokens"]
    left = max(1, MODELS[params["model"]].max_input_tokens - input_tokens(params))
    if left < max_tokens:
        return _Limit(left, "model_context_window_exceeded")
    return _Limit(max_tokens, "max_tokens")


def _delivered(whole: Reply, limit: _Limit, outcome: str | None) -> Reply:
    thinking_tokens = token_count(len(whole.thinking)) if whole.thinking else 0
    if thinking_tokens >= limit.tokens:
        thinking = whole.thinking[: _characters(limit.tokens)]
        return Reply("", limit.stop_reason, limit.tokens, thinking, limit.tokens)
    room = limit.tokens - thinking_tokens
    thought = replace(whole, thinking_tokens=thinking_tokens)
    if outcome in _CUT_IN_HALF:
        return _cut_in_half(thought, limit, room, str(outcome))
    needed = token_count(len(whole.text) + _tool_characters(whole.tool))
    if needed > room:
        text = whole.text[: _characters(room)]
        return replace(
            thought, text=text, tool=None, stop_reason=limit.stop_reason, stop_sequence=None, output_tokens=limit.tokens
        )
    return replace(thought, output_tokens=thinking_tokens + needed)


def _cut_in_half(whole: Reply, limit: _Limit, room: int, outcome: str) -> Reply:
    text = whole.text[: max(1, min(len(whole.text) // 2, _characters(room)))]
    spent = limit.tokens if outcome == "truncated" else whole.thinking_tokens + token_count(len(text))
    reason = _OWN_STOP_REASONS.get(outcome, outcome)
    return replace(whole, text=text, tool=None, stop_reason=reason, stop_sequence=None, output_tokens=spent)


def _tool_characters(tool: ToolCall | None) -> int:
    return 0 if tool is None else len(tool.name) + len(orjson.dumps(tool.input))


def _characters(tokens: int) -> int:
    return int(tokens * CHARACTERS_PER_TOKEN)
