"""What a document is split into, and the blocks that it is split at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

TokenCounter: TypeAlias = Callable[[str], int]


@dataclass(frozen=True, slots=True, order=True)
class LineRange:
    """Lines of a document, counted from 1, both ends included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document that is asked about by itself.

    Attributes:
        first: first line of the core. Each line of a document is in one core only, or is unsplittable.
        last: last line of the core.
        shown_first: first line that is shown; from there to the core it overlaps with what stands before.
        context: lines shown ahead of these: imports, and the heads of what encloses the core.
        text: the lines from `shown_first` to `last` as they stand in the document, joined by line feeds.
        numbered: what a prompt shows, and what the tokens were counted of: context, overlap and core, each line with
            its number in the document.
    """

    first: int
    last: int
    shown_first: int
    context: tuple[LineRange, ...]
    text: str
    numbered: str


@dataclass(frozen=True, slots=True)
class Unsplittable:
    """A line, counted from 1, that is above the budget all by itself, and its tokens as shown with its number."""

    line: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Splitting:
    """The parts of a document and the lines that are in none of them, both in the order of the document."""

    chunks: tuple[Chunk, ...]
    unsplittable: tuple[Unsplittable, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that belong together, and how to split them if they are too many.

    Attributes:
        lines: from the first line to the one before the next block.
        heads: the first lines of all that encloses the block, outermost first.
        finer: gives two blocks or more that together have the same lines; none when there is nothing finer.
        leads: whether it is the head of what follows, so that it is better not to cut between the two.
    """

    lines: LineRange
    heads: tuple[LineRange, ...]
    finer: Callable[[], Sequence[Block]]
    leads: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """A document's outermost blocks, which together have all its lines, and the lines that concern all: imports."""

    blocks: Sequence[Block]
    shared: tuple[LineRange, ...] = ()


def consecutive(starts: Sequence[int], lines: LineRange) -> list[LineRange]:
    """Cut lines before each of `starts`, which are in order and lie in them; the first range starts where they do."""
    firsts = [lines.first, *(start for start in starts if start > lines.first)]
    lasts = [*(first - 1 for first in firsts[1:]), lines.last]
    return [LineRange(first, last) for first, last in zip(firsts, lasts, strict=True)]
