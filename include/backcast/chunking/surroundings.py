"""What is shown around a part besides its own lines: overlap and context, as much as leaves the most to the part."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from backcast.chunking.chunks import LineRange

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backcast.chunking.sheet import Sheet

# Overlap and context may each have one part in so many of the budget.
_SHARE = 4


@dataclass(frozen=True, slots=True)
class Around:
    """The first line shown, the context ahead of it, and what both weigh."""

    shown_first: int
    context: tuple[LineRange, ...]
    weight: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Chooses what is shown around a part.

    Attributes:
        sheet: the document.
        shared: lines that concern all parts.
        overlap_lines: how many lines before the part are shown, if they are not too heavy.
        budget: what a part weighs at most with all that is around it.
    """

    sheet: Sheet
    shared: tuple[LineRange, ...]
    overlap_lines: int
    budget: int

    def of(self, first: int, heads: tuple[LineRange, ...]) -> Around:
        """Return what is shown around a part that starts at this line, enclosed by what has these heads.

        When there is too much, the heads of what is near go before those further out, and all of them before imports.
        """
        allowance = self.budget // _SHARE
        shown_first = max(first - self.overlap_lines, self.sheet.from_end(first - 1, allowance), 1)
        overlap = self.sheet.weight(LineRange(shown_first, first - 1))
        numbers: set[int] = set()
        left = self._add(numbers, reversed(heads), shown_first, allowance)
        left = self._add(numbers, takewhile(lambda lines: lines.first < shown_first, self.shared), shown_first, left)
        return Around(shown_first, _ranges(sorted(numbers)), overlap + allowance - left)

    def _add(self, numbers: set[int], wanted: Iterable[LineRange], before: int, left: int) -> int:
        """Add the lines that are wanted up to the first that is too heavy, and return the weight that is left."""
        for lines in wanted:
            for number in range(lines.first, min(lines.last + 1, before)):
                weight = 0 if number in numbers else self.sheet.weight(LineRange(number, number))
                if weight > left:
                    return left
                numbers.add(number)
                left -= weight
        return left


def _ranges(numbers: Iterable[int]) -> tuple[LineRange, ...]:
    ranges: list[LineRange] = []
    for number in numbers:
        if ranges and ranges[-1].last == number - 1:
            ranges[-1] = LineRange(ranges[-1].first, number)
        else:
            ranges.append(LineRange(number, number))
    return tuple(ranges)
