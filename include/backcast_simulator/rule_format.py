"""The format of scripted rules, as a JSON schema. `GET /simulator/rules/schema` serves it."""

from __future__ import annotations

from typing import Any

OUTCOMES = (
    "errored",
    "expired",
    "truncated",
    "refusal",
    "malformed",
    "invalid_request",
    "answer",
    "unsupported",
    "tool_use",
    "pause_turn",
    "stop_sequence",
    "model_context_window_exceeded",
    "unknown_result",
)

_TEXTS = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    "x-expected": "a string or a list of strings",
}


def _text(description: str) -> dict[str, Any]:
    return {"type": ["string", "null"], "description": description}


def _count(description: str) -> dict[str, Any]:
    return {"type": ["integer", "null"], "minimum": 0, "description": description}


_CONDITIONS: dict[str, Any] = {
    "type": ["object", "null"],
    "additionalProperties": False,
    "description": "Conditions on the whole request; all of them must hold.",
    "properties": {
        "prompt_contains": {**_TEXTS, "description": "Each of these stands in the system prompt or in a message."},
        "prompt_lacks": {**_TEXTS, "description": "None of these stands in the system prompt or in a message."},
        "prompt_longer_than": _count("The system prompt and the messages have more characters than this."),
        "prompt_at_most": _count("The system prompt and the messages have this many characters or fewer."),
        "max_tokens_below": _count("The request's max_tokens are fewer than this."),
        "max_tokens_at_least": _count("The request's max_tokens are this many or more."),
        "model": _text("The model's name."),
        "structured": {"type": ["boolean", "null"], "description": "Whether the request asks for a JSON schema."},
    },
}

_TOOL: dict[str, Any] = {
    "type": ["object", "null"],
    "additionalProperties": False,
    "description": "With `tool_use`: the tool that is called. Without it, the first tool of the request is.",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,128}$", "description": "The tool's name."},
        "input": {"type": "object", "description": "What it is called with; made from the tool's schema if left out."},
    },
}

RULE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["outcome"],
    "properties": {
        "match": {"type": "string", "description": "Text in the last user message; left out: any message."},
        "attempts": {
            "type": ["array", "null"],
            "items": {"type": "integer", "minimum": 1},
            "description": "Which times, counted from 1, that a message with the very same text has come in.",
        },
        "when": _CONDITIONS,
        "share": {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 1,
            "description": "The share of the messages that match for which the rule holds; the same ones each time.",
        },
        "outcome": {"enum": list(OUTCOMES), "description": "What becomes of the request."},
        "error_type": _text("With `errored`: the error's type, known or not; api_error unless told."),
        "message": _text("With `errored` and `invalid_request`: the error's message."),
        "details": {"type": ["object", "null"], "description": "With `errored`: the error's details."},
        "text": _text("The answer's text, in place of an ordinary one; with `invalid_request`, the error's message."),
        "thinking": _text("The text of a thinking block before the answer; it spends max_tokens."),
        "tool": _TOOL,
        "stop_reason": _text("The answer's stop_reason, known or not, in place of the outcome's own."),
        "stop_sequence": _text("With `stop_sequence`: which one; the request's first unless told."),
        "result_type": _text("With `unknown_result`: the type of the row's result; `deferred` unless told."),
    },
}

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Rules of the simulator; the first one that applies decides about a request",
    "type": "array",
    "items": RULE_SCHEMA,
}
