"""What tools brought in a conversation, as the project's own tools show it: between marks that say so."""

from __future__ import annotations

import re
from typing import Any

from backcast_simulator.prompts import text_of

_RESULT = re.compile(
    r"\A<result-(?P<fence>[0-9a-f]{12}) tool=\w+>\n(?P<content>.*)\n</result-(?P=fence)>\s*\Z", re.DOTALL
)


def brought(params: dict[str, Any]) -> list[tuple[str, str]]:
    """What tools brought, in order: the name of each, and its content; empty where it failed."""
    names: dict[str, str] = {}
    results = []
    for message in params["messages"]:
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            if block.get("type") == "tool_use":
                names[str(block.get("id"))] = str(block.get("name"))
            elif block.get("type") == "tool_result":
                result = _RESULT.match(text_of(block.get("content")))
                name = names.get(str(block.get("tool_use_id")), "")
                results.append((name, result["content"] if result and not block.get("is_error") else ""))
    return results
