"""Answers: who writes them, and the Message object that they travel in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

import orjson

from backcast_simulator.analyst import analyse
from backcast_simulator.prompts import (
    CHARACTERS_PER_TOKEN,
    find_document,
    input_tokens,
    last_user_text,
    token_count,
)

if TYPE_CHECKING:
    from backcast_simulator.outcomes import Rule

_REMEMBERED_ANSWERS = 4096
_ECHOED_CHARACTERS = 400


class Answerer(Protocol):
    """Writes the text of an answer; pure, so the same parameters give the same text."""

    def answer(self, params: dict[str, Any]) -> str:
        """The answer's whole text, however long `max_tokens` allows it to be."""
        ...


class EchoAnswerer:
    """Answers with the beginning of the last user message."""

    def answer(self, params: dict[str, Any]) -> str:
        """A line that says who answers, and up to 400 characters of the message."""
        return f"No model was asked. The message began:\n{last_user_text(params)[:_ECHOED_CHARACTERS]}"


class AnalystAnswerer:
    """Answers with a static analysis of the document in the prompt; echoes when there is none."""

    def __init__(self) -> None:
        self._analyse = lru_cache(maxsize=_REMEMBERED_ANSWERS)(_analysis_json)
        self._echo = EchoAnswerer()

    def answer(self, params: dict[str, Any]) -> str:
        """The findings as JSON, `{"findings": [...]}`."""
        document = find_document(last_user_text(params))
        if document is None:
            return self._echo.answer(params)
        return self._analyse(document.path, document.language, document.text)


def _analysis_json(path: str, language: str, text: str) -> str:
    findings = analyse(path, language, text)
    return orjson.dumps({"findings": findings}).decode()


def answerer_named(name: Literal["analyst", "echo"]) -> Answerer:
    """The answerer with this name."""
    return EchoAnswerer() if name == "echo" else AnalystAnswerer()


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as it is delivered: its text, why it stopped and its length in tokens."""

    text: str
    stop_reason: str
    output_tokens: int


def reply(params: dict[str, Any], script: Rule | None, answerer: Answerer) -> Reply:
    """The answer to these parameters, in the way the script asks for, cut at `max_tokens`."""
    if script is not None and script.outcome == "refusal":
        return Reply("", "refusal", 1)
    if script is not None and script.outcome == "malformed":
        text = '{"findings": [{"title": "This answer is no JSON,'
        return Reply(text, "end_turn", token_count(len(text)))
    text = script.text if script is not None and script.outcome == "answer" else answerer.answer(params)
    max_tokens: int = params["max_tokens"]
    if script is not None and script.outcome == "truncated":
        return Reply(text[: max(1, min(len(text) // 2, _characters(max_tokens)))], "max_tokens", max_tokens)
    if token_count(len(text)) > max_tokens:
        return Reply(text[: _characters(max_tokens)], "max_tokens", max_tokens)
    return Reply(text, "end_turn", token_count(len(text)))


def _characters(tokens: int) -> int:
    return int(tokens * CHARACTERS_PER_TOKEN)


def message(
    params: dict[str, Any], answer: Reply, names: tuple[str, ...], kind: Literal["batch", "synchronous"]
) -> dict[str, Any]:
    """The Message object; `names` are hashed to its id, so that the same request has the same id each time."""
    digest = hashlib.blake2b("\x1f".join(names).encode(), digest_size=12).hexdigest()
    refused = answer.stop_reason == "refusal"
    return {
        "id": f"msg_simulator_{digest}",
        "type": "message",
        "role": "assistant",
        "model": params["model"],
        "content": [{"type": "text", "text": answer.text, "citations": None}] if answer.text else [],
        "stop_reason": answer.stop_reason,
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "category": None, "explanation": None} if refused else None,
        "container": None,
        "usage": {
            "input_tokens": input_tokens(params),
            "output_tokens": answer.output_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "inference_geo": None,
            "server_tool_use": None,
            "service_tier": "batch" if kind == "batch" else "standard",
        },
    }
