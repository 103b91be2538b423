"""Blocks of text whose language is not known: by blank lines and indentation, at last by lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from backcast.chunking.chunks import Block, LineRange, consecutive

if TYPE_CHECKING:
    from collections.abc import Sequence

# What closes a block or goes on with it stays with it.
_CLOSER = re.compile(r"\s*(?:[)\]}>]|(?:end|else|elif|elsif|except|catch|finally|fi|done|esac)\b)")
_BLANK = -1


@dataclass(frozen=True, slots=True)
class Indented:
    """A document's lines with their indentation in characters; -1 for a blank line."""

    lines: Sequence[str]
    depths: Sequence[int]

    def blocks(self, lines: LineRange, heads: tuple[LineRange, ...] = ()) -> list[Block]:
        """Return the coarsest two or more blocks of these lines, or none if there is but one line."""
        if lines.first == lines.last:
            return []
        least = min((depth for depth in self._depths(lines) if depth != _BLANK), default=_BLANK)
        outermost = [n for n in range(lines.first + 1, lines.last + 1) if self.depths[n - 1] == least]
        after_blank = [n for n in outermost if self.depths[n - 2] == _BLANK]
        starts = after_blank or [n for n in outermost if not _CLOSER.match(self.lines[n - 1])] or outermost
        if starts:
            return [self.block(part, heads) for part in consecutive(starts, lines)]
        return self._below_head(lines, heads)

    def block(self, lines: LineRange, heads: tuple[LineRange, ...] = ()) -> Block:
        """Return these lines as one block."""
        return Block(lines, heads, partial(self.blocks, lines, heads))

    def _below_head(self, lines: LineRange, heads: tuple[LineRange, ...]) -> list[Block]:
        head = LineRange(lines.first, lines.first)
        below = LineRange(lines.first + 1, lines.last)
        return [replace(self.block(head, heads), leads=True), self.block(below, (*heads, head))]

    def _depths(self, lines: LineRange) -> Sequence[int]:
        return self.depths[lines.first - 1 : lines.last]


def indented(lines: Sequence[str]) -> Indented:
    """Measure the indentation of a document's lines."""
    return Indented(lines, [len(line) - len(line.lstrip()) if line.strip() else _BLANK for line in lines])
