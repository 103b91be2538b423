"""Splits a document that is too long into the parts that are asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from backcast.chunking import Chunk, LineRange, Sheet, Splitting, shown, split_apart
from backcast.domain.failures import Cause, Variant
from backcast.domain.lines import split_lines
from backcast.domain.parts import Part, budget_tokens
from backcast.domain.pricing import estimate_tokens
from backcast.services.budget import longest_example
from backcast.services.caching import costs_of
from backcast.services.estimate import prompt_bytes
from backcast.settings import load_model

if TYPE_CHECKING:
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
        self._costs = costs_of(run)
        self._example = longest_example(run)
        self._mergeable = set(orjson.loads(run["answer_schema"]).get("properties", {})) == {"findings"}

    def parts(self, failed: Row, cause: Cause) -> list[Part] | str:
        """Return the parts of what a failed request asked about, or why there are none.

        Args:
            failed: a row of `failed_requests`.
            cause: why it failed.
        """
        if not self._mergeable:
            return "its answers hold more than findings, and could not be merged, so it is not split"
        whole = Part.stored(failed["part"]) if failed["part"] else None
        budget = self._budget(failed, cause, whole)
        inner = _Inner(failed["body"], failed["language"], whole, budget)
        splitting = inner.split(budget)
        if splitting.unsplittable:
            # Rather a line without what stands around it, or in more than half a document, than no answer.
            budget = self._for_line(failed, cause, budget, splitting)
            splitting = inner.alone().split(budget)
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
            return f"it would take {count} parts, and at most {_MOST_PARTS} are asked about"
        return [inner.part(number, count, chunk) for number, chunk in enumerate(splitting.chunks, 1)]

    def _budget(self, failed: Row, cause: Cause, whole: Part | None) -> int:
        return budget_tokens(
            cause,
            failed["detail"],
            shown_tokens=estimate_tokens(whole.bytes if whole else prompt_bytes(failed["body"])),
            other_tokens=self._other_tokens(failed),
            room=self._room(failed),
        )

    def _for_line(self, failed: Row, cause: Cause, budget: int, splitting: Splitting) -> int:
        """Return the tokens that the longest line has, where it is only the answer that was too long."""
        longest = max(line.tokens for line in splitting.unsplittable)
        fits = cause is not Cause.TOO_LONG and longest <= self._room(failed) - self._other_tokens(failed)
        return max(budget, longest) if fits else budget

    def _other_tokens(self, failed: Row) -> int:
        return self._costs.other_tokens(self._example if failed["variant"] == Variant.WORKED_EXAMPLE else 0)

    def _room(self, failed: Row) -> int:
        return self._model.max_input_tokens - int(failed["max_tokens"])


class _Inner:
    """What is split, as a text of its own: all of a document, or the lines of a part, whose context is kept."""

    def __init__(self, document: str, language: str, whole: Part | None, budget: int) -> None:
        lines = split_lines(document)
        self._sheet, self._language = Sheet(lines), language
        self.offset = whole.first - 1 if whole else 0
        own = lines[self.offset : whole.last] if whole else lines
        self._text = "\n".join([*own, ""])
        # Numbers have as many digits as the document's last one.
        self._wider = len(str(len(lines))) - len(str(len(own)))
        self._context = whole.context if whole else ()
        self.shows_less = False
        if 2 * self._context_tokens() > budget:
            self.alone()

    def alone(self) -> _Inner:
        """Leave out what was shown with the part."""
        self.shows_less = self.shows_less or bool(self._context)
        self._context = ()
        return self

    def split(self, budget: int) -> Splitting:
        return split_apart(
            self._text,
            self._language,
            budget_tokens=max(1, budget - self._context_tokens()),
            wider=self._wider,
            overlap_lines=_OVERLAP_LINES,
        )

    def _context_tokens(self) -> int:
        text = self._sheet.numbered(LineRange(*lines) for lines in self._context)
        return estimate_tokens(len(text.encode()))

    def part(self, number: int, count: int, chunk: Chunk) -> Part:
        by = self.offset
        context = (*self._context, *((lines.first + by, lines.last + by) for lines in chunk.context))
        ranges = (LineRange(*lines) for lines in (*context, (chunk.shown_first + by, chunk.last + by)))
        size = len(self._sheet.numbered(ranges).encode())
        return Part(number, count, chunk.first + by, chunk.last + by, chunk.shown_first + by, context, size)
