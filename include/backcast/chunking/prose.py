"""Blocks of prose: sections by their headings, paragraphs by blank lines; a fenced example is one paragraph."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from backcast.chunking.chunks import Block, LineRange, Outline, consecutive
from backcast.chunking.headings import headings_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backcast.chunking.indentation import Indented


def outline_of_prose(language: str, plain: Indented) -> Outline:
    """Return the outline of prose of at least one line.

    Args:
        language: a name that `headings_of` knows, or any other for prose without headings.
        plain: the lines.
    """
    headings, fenced = headings_of(language, plain.lines)
    starts = _paragraph_starts(plain.lines, headings, fenced)
    lines = LineRange(1, len(plain.lines))
    return Outline([_Prose(plain, headings, sorted(headings), starts).section(lines, ())])


def _paragraph_starts(lines: Sequence[str], headings: Mapping[int, int], fenced: frozenset[int]) -> list[int]:
    starts = []
    after_blank = after_heading = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            after_blank = True
            continue
        # A heading stays with what it is about.
        if after_blank and not after_heading and number not in fenced:
            starts.append(number)
        after_blank, after_heading = False, number in headings
    return starts


@dataclass(frozen=True, slots=True)
class _Prose:
    """Prose whose headings, first line to level, and first lines of headings and paragraphs are known, in order."""

    plain: Indented
    headings: Mapping[int, int]
    heading_lines: Sequence[int]
    paragraph_starts: Sequence[int]

    def section(self, lines: LineRange, heads: tuple[LineRange, ...]) -> Block:
        return Block(lines, heads, partial(self._subsections, lines, heads))

    def _subsections(self, lines: LineRange, heads: tuple[LineRange, ...]) -> Sequence[Block]:
        """Split at the highest headings but the first line's, which is the section's own."""
        within = _below_first(self.heading_lines, lines)
        if not within:
            return self._paragraphs(lines, heads)
        if lines.first in self.headings:
            heads = (*heads, LineRange(lines.first, lines.first))
        highest = min(self.headings[n] for n in within)
        starts = [n for n in within if self.headings[n] == highest]
        return [self.section(part, heads) for part in consecutive(starts, lines)]

    def _paragraphs(self, lines: LineRange, heads: tuple[LineRange, ...]) -> Sequence[Block]:
        starts = _below_first(self.paragraph_starts, lines)
        if lines.first in self.headings:
            heads = (*heads, LineRange(lines.first, lines.first))
        if not starts:
            return self.plain.blocks(lines, heads)
        return [self.plain.block(part, heads) for part in consecutive(starts, lines)]


def _below_first(numbers: Sequence[int], lines: LineRange) -> Sequence[int]:
    return numbers[bisect_right(numbers, lines.first) : bisect_right(numbers, lines.last)]
