"""Server-sent events: a Message in the pieces in which the API streams it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 40

Event = tuple[str, dict[str, Any]]


def server_sent_events(message: dict[str, Any]) -> Iterator[bytes]:
    """The body of a streamed answer."""
    for name, data in events(message):
        yield b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **data}))


def events(message: dict[str, Any]) -> Iterator[Event]:
    """The events of a streamed answer, from message_start to message_stop, with a ping after the first."""
    begun: dict[str, Any] = {"stop_reason": None, "stop_sequence": None, "stop_details": None, "content": []}
    yield "message_start", {"message": {**message, **begun, "usage": {**message["usage"], "output_tokens": 1}}}
    yield "ping", {}
    for index, block in enumerate(message["content"]):
        yield "content_block_start", {"index": index, "content_block": _empty(block)}
        for delta in _deltas(block):
            yield "content_block_delta", {"index": index, "delta": delta}
        yield "content_block_stop", {"index": index}
    delta = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details", "container")}
    yield "message_delta", {"delta": delta, "usage": _final_usage(message["usage"])}
    yield "message_stop", {}


def _final_usage(usage: dict[str, Any]) -> dict[str, Any]:
    names = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    rest = ("output_tokens_details", "server_tool_use")
    return {name: usage[name] for name in (*names, *rest)}


def _empty(block: dict[str, Any]) -> dict[str, Any]:
    empty = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {name: empty.get(name, value) for name, value in block.items()}


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        for piece in _pieces(block["text"]):
            yield {"type": "text_delta", "text": piece}
    elif block["type"] == "thinking":
        for piece in _pieces(block["thinking"]):
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        for piece in _pieces(orjson.dumps(block["input"]).decode()):
            yield {"type": "input_json_delta", "partial_json": piece}


def _pieces(text: str) -> Iterator[str]:
    return (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
