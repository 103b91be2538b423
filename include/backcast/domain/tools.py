"""Tools that a model may ask for in mid-answer, and how what they bring is shown to it: as data, and never too much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from backcast.domain.workflow import digest

_FENCE_DIGITS: Final = 12
Run: TypeAlias = Callable[[Mapping[str, Any]], str]


class ToolInputError(ValueError):
    """A tool cannot do what it was asked to; the text is for the model that asked, and says what it may ask instead."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, as the API is told of it, and what runs it.

    Attributes:
        name: as the model calls it.
        description: what it does, for the model.
        input_schema: the JSON schema of what it is given, which is checked before it runs.
        run: takes that, and returns a text; raises ToolInputError.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any]
    run: Run


def as_data(tool: str, content: str) -> str:
    """Return what a tool brought between marks that say so.

    They carry digits of its own hash: a content cannot contain them, so it cannot close them.
    """
    fence = digest(tool, content)[:_FENCE_DIGITS]
    return f"<result-{fence} tool={tool}>\n{content}\n</result-{fence}>"


def bounded(lines: list[str], most_bytes: int) -> tuple[list[str], int]:
    """Return the first lines that have so many bytes together at most, and how many are left."""
    used = 0
    for number, line in enumerate(lines):
        used += len(line.encode()) + 1
        if used > most_bytes:
            return lines[:number], len(lines) - number
    return lines, 0
