"""A document as its parts show it: with the numbers of its lines, and with what stands around them."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

from backcast.chunking.chunks import Chunk, LineRange
from backcast.domain.lines import split_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MARK = "| "
_GAP = "\N{VERTICAL ELLIPSIS}"


class Sheet:
    """Numbers a document's lines as `number_lines` does, and weighs them: the characters that they take."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._digits = len(str(len(lines)))
        extra = self._digits + len(_MARK) + len("\n")
        self._weights = list(accumulate((len(line) + extra for line in lines), initial=0))

    def weight(self, lines: LineRange) -> int:
        """Return the characters that these lines take as shown."""
        return self._weights[lines.last] - self._weights[lines.first - 1]

    def from_end(self, last: int, most: int) -> int:
        """Return the first of the lines before and with `last` that together weigh at most so much, or `last + 1`."""
        return bisect_left(self._weights, self._weights[last] - most, hi=last + 1) + 1

    def numbered(self, ranges: Iterable[LineRange]) -> str:
        """Show ranges of lines, which are in order, with a mark where lines are left out in between."""
        shown: list[str] = []
        last = None
        for lines in ranges:
            if last is not None and lines.first > last + 1:
                shown.append(f"{_GAP:>{self._digits}}")
            shown.extend(
                f"{number:>{self._digits}}{_MARK}{self._lines[number - 1]}"
                for number in range(lines.first, lines.last + 1)
            )
            last = lines.last
        return "\n".join(shown)

    def chunk(self, core: LineRange, shown_first: int, context: tuple[LineRange, ...]) -> Chunk:
        """Return a chunk with this core; the context is in order and ends before what is shown otherwise."""
        text = "\n".join(self._lines[shown_first - 1 : core.last])
        numbered = self.numbered((*context, LineRange(shown_first, core.last)))
        return Chunk(core.first, core.last, shown_first, context, text, numbered)


def shown(text: str, ranges: Iterable[LineRange]) -> str:
    """Show ranges of a document's lines, which are in order, as `Chunk.numbered` does."""
    return Sheet(split_lines(text)).numbered(ranges)
