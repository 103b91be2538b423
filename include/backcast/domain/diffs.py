"""Diffs: hunks with the numbers of their lines, which of these a change touches, and pieces that fit into a request."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CONTEXT: Final = " "
ADDED: Final = "+"
REMOVED: Final = "-"
# Digits of a line number and the mark after it, as the new side is shown beside the diff.
_NUMBER_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines that follow each other, each after its mark: a blank, `+` or `-`.

    `old_start` and `new_start` are the numbers, from 1, that the first line of either side has or would have; `section`
    is what git says that they belong to.
    """

    old_start: int
    new_start: int
    lines: tuple[str, ...]
    section: str = ""

    @property
    def old_count(self) -> int:
        """How many lines it has of the old side."""
        return sum(line[0] != ADDED for line in self.lines)

    @property
    def new_count(self) -> int:
        """How many lines it has of the new side."""
        return sum(line[0] != REMOVED for line in self.lines)

    @property
    def header(self) -> str:
        """The line that git begins it with."""
        old, new = _range(self.old_start, self.old_count), _range(self.new_start, self.new_count)
        return f"@@ -{old} +{new} @@ {self.section}".rstrip()

    @property
    def text(self) -> str:
        """All of it, as git shows it."""
        return "\n".join((self.header, *self.lines))

    def numbered(self) -> Iterator[tuple[int, str]]:
        """Yield each line with its number on the new side; one that was removed has that of the line after it."""
        number = self.new_start
        for line in self.lines:
            yield number, line
            number += line[0] != REMOVED

    def touched(self) -> Iterator[int]:
        """Yield the numbers, on the new side, of lines that are added; where lines only go, of those beside them."""
        for changed, group in groupby(self.numbered(), key=lambda each: each[1][0] != CONTEXT):
            lines = list(group)
            added = [number for number, line in lines if line[0] == ADDED]
            if changed:
                yield from added or (lines[0][0] - 1, lines[0][0])


def _range(start: int, count: int) -> str:
    # Of a side without lines git names the line before.
    return f"{start if count else start - 1},{count}"


def touched_lines(hunks: Iterable[Hunk]) -> frozenset[int]:
    """Return the lines of the new side that a change touches, from 1; they may be one less or more than there are."""
    return frozenset(number for hunk in hunks for number in hunk.touched())


def new_ranges(hunks: Iterable[Hunk]) -> list[tuple[int, int]]:
    """Return first and last lines of the new sides, both inclusive, in order; nothing for those that only remove."""
    return [(hunk.new_start, hunk.new_start + hunk.new_count - 1) for hunk in hunks if hunk.new_count]


def pieces(hunks: Iterable[Hunk], most_bytes: int) -> list[tuple[Hunk, ...]]:
    """Pack hunks, in order, into pieces that take at most so many bytes as a request shows them.

    A hunk that is larger is divided between its lines; a single line that is larger stands alone.
    """
    packed: list[list[Hunk]] = []
    room = 0
    for part in (part for hunk in hunks for part in _divided(hunk, most_bytes)):
        weight = _weight(part.lines)
        if weight > room or not packed:
            packed.append([])
            room = most_bytes
        packed[-1].append(part)
        room -= weight
    return [tuple(piece) for piece in packed]


def _divided(hunk: Hunk, most_bytes: int) -> Iterator[Hunk]:
    old, new, part, weight = hunk.old_start, hunk.new_start, list[str](), 0
    for line in hunk.lines:
        more = _weight([line])
        if part and weight + more > most_bytes:
            done = Hunk(old, new, tuple(part), hunk.section)
            yield done
            old, new, part, weight = old + done.old_count, new + done.new_count, [], 0
        part.append(line)
        weight += more
    if part:
        yield Hunk(old, new, tuple(part), hunk.section)


def _weight(lines: Iterable[str]) -> int:
    """What lines take in a diff, and beside it as the new side."""
    return sum(
        (len(line.encode()) + 1) * (1 if line[0] == REMOVED else 2) + (0 if line[0] == REMOVED else _NUMBER_BYTES)
        for line in lines
    )
