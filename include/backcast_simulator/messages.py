"""The Message object and its usage."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

from backcast_simulator.catalogue import NOTHING_CACHED, CachedTokens
from backcast_simulator.prompts import input_tokens

if TYPE_CHECKING:
    from backcast_simulator.replies import Reply

Kind = Literal["batch", "synchronous"]


def message(
    params: dict[str, Any],
    answer: Reply,
    names: tuple[str, ...],
    kind: Kind,
    cached: CachedTokens = NOTHING_CACHED,
) -> dict[str, Any]:
    """The Message object; `names` are hashed to its id, so that the same request has the same id each time."""
    digest = hashlib.blake2b("\x1f".join(names).encode(), digest_size=12).hexdigest()
    refused = answer.stop_reason == "refusal"
    return {
        "id": f"msg_simulator_{digest}",
        "type": "message",
        "role": "assistant",
        "model": params["model"],
        "content": _content(answer, digest),
        "stop_reason": answer.stop_reason,
        "stop_sequence": answer.stop_sequence,
        "stop_details": {"type": "refusal", "category": None, "explanation": None} if refused else None,
        "container": None,
        "usage": _usage(params, answer, kind, cached),
    }


def _content(answer: Reply, digest: str) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.thinking:
        blocks.append({"type": "thinking", "thinking": answer.thinking, "signature": f"simulator-{digest}"})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text, "citations": None})
    if answer.tool is not None:
        blocks.append(
            {
                "type": "tool_use",
                "id": f"toolu_simulator_{digest}",
                "name": answer.tool.name,
                "input": answer.tool.input,
                "caller": {"type": "direct"},
            }
        )
    return blocks


def _usage(params: dict[str, Any], answer: Reply, kind: Kind, cached: CachedTokens) -> dict[str, Any]:
    return {
        "input_tokens": input_tokens(params) - cached.total,
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"thinking_tokens": answer.thinking_tokens} if answer.thinking else None,
        "cache_creation_input_tokens": cached.written_5m + cached.written_1h,
        "cache_read_input_tokens": cached.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": cached.written_5m,
            "ephemeral_1h_input_tokens": cached.written_1h,
        },
        "inference_geo": None,
        "server_tool_use": None,
        "service_tier": "batch" if kind == "batch" else "standard",
    }
