"""Splits a document that is too long into the parts that are asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from backcast.chunking import Chunk, LineRange, Sheet, shown, split
from backcast.domain.failures import Variant
from backcast.domain.lines import split_lines
from backcast.domain.parts import Part, budget_tokens
from backcast.domain.pricing import estimate_tokens
from backcast.services.budget import longest_example
from backcast.services.estimate import CostModel, prompt_bytes
from backcast.settings import load_model

if TYPE_CHECKING:
    from backcast.domain.failures import Cause
    from backcast.ledger.connection import Row

# Enough to see what the first lines of a part belong to.
_OVERLAP_LINES = 10
# Each is sent with the whole prompt.
_MOST_PARTS = 100


def shown_part(text: str, part: Part) -> str:
    """Return what a prompt shows of a part, with the numbers that the lines have in the document."""
    return shown(text, [LineRange(*lines) for lines in part.ranges])


class Splitter:
    """Splits the documents of one run, or parts of them once more."""

    def __init__(self, run: Row) -> None:
        self._model = load_model(run["model"])
        self._costs = CostModel(self._model, run["system_template"], run["answer_schema"])
        self._example = longest_example(run)
        self._mergeable = "findings" in orjson.loads(run["answer_schema"]).get("properties", {})

    def parts(self, failed: Row, cause: Cause) -> list[Part] | str:
        """Return two parts or more of what a failed request asked about, or why there are none.

        Args:
            failed: a row of `failed_requests`.
            cause: why it failed.
        """
        if not self._mergeable:
            return "its answers have no findings that could be merged, so it is not split"
        text, whole = failed["body"], Part.stored(failed["part"]) if failed["part"] else None
        budget = self._budget(failed, cause, whole)
        inner = _Inner(text, whole, budget)
        splitting = split(
            inner.text,
            failed["language"],
            budget_tokens=max(1, budget - inner.context_tokens),
            count_tokens=inner.tokens,
            overlap_lines=_OVERLAP_LINES,
        )
        if splitting.unsplittable:
            line = splitting.unsplittable[0]
            return (
                f"line {line.line + inner.offset} alone has about {line.tokens} tokens, where {budget} fit: "
                "it cannot be split"
            )
        count = len(splitting.chunks)
        if count <= 1 and not inner.shows_less:
            return "it cannot be split any further"
        if count > _MOST_PARTS:
            return (
                f"it would take {count} parts, of about {budget} tokens each, and at most {_MOST_PARTS} are asked about"
            )
        return [inner.part(number, count, chunk) for number, chunk in enumerate(splitting.chunks, 1)]

    def _budget(self, failed: Row, cause: Cause, whole: Part | None) -> int:
        example = self._example if failed["variant"] == Variant.WORKED_EXAMPLE else 0
        return budget_tokens(
            cause,
            failed["detail"],
            shown_tokens=estimate_tokens(whole.bytes if whole else prompt_bytes(failed["body"])),
            other_tokens=self._costs.other_tokens(example),
            room=self._model.max_input_tokens - failed["max_tokens"],
        )


class _Inner:
    """What is split, as a text of its own: all of a document, or the lines of a part, whose context is kept."""

    def __init__(self, document: str, whole: Part | None, budget: int) -> None:
        lines = split_lines(document)
        self._sheet = Sheet(lines)
        self.offset = whole.first - 1 if whole else 0
        own = lines[self.offset : whole.last] if whole else lines
        self.text = "\n".join([*own, ""])
        # Numbers have as many digits as the document's last one.
        self._wider = len(str(len(lines))) - len(str(len(own)))
        context = whole.context if whole else ()
        self.context_tokens = self._context_tokens(context)
        self.shows_less = self.context_tokens * 2 > budget
        if self.shows_less:
            context, self.context_tokens = (), 0
        self._context = context

    def _context_tokens(self, context: tuple[tuple[int, int], ...]) -> int:
        text = self._sheet.numbered(LineRange(*lines) for lines in context)
        return estimate_tokens(len(text.encode()))

    def tokens(self, text: str) -> int:
        return estimate_tokens(len(text.encode()) + self._wider * (text.count("\n") + 1))

    def part(self, number: int, count: int, chunk: Chunk) -> Part:
        by = self.offset
        context = (*self._context, *((lines.first + by, lines.last + by) for lines in chunk.context))
        ranges = (LineRange(*lines) for lines in (*context, (chunk.shown_first + by, chunk.last + by)))
        size = len(self._sheet.numbered(ranges).encode())
        return Part(number, count, chunk.first + by, chunk.last + by, chunk.shown_first + by, context, size)
