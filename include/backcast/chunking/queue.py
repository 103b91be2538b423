"""Blocks in line for the parts of a document: as many at a time as are thought to fit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backcast.chunking.chunks import Block
    from backcast.chunking.surroundings import Surroundings

# To cut a class between two of its methods, one level down, is better than to part it from its head.
_AFTER_HEAD = 2


@dataclass(frozen=True, slots=True)
class Unit:
    """A block, how deep it lies, and how deep a cut before it is: outermost is 0."""

    block: Block
    depth: int
    cut: int

    def finer(self) -> list[Unit]:
        """Return what the block is split into, if it can be."""
        depth = self.depth + 1
        # The first of the finer blocks starts where this one does.
        cut = self.cut
        units = []
        for block in self.block.finer():
            units.append(Unit(block, depth, cut))
            cut = depth + _AFTER_HEAD if block.leads else depth
        return units


class Queue:
    """The units that are not packed yet; there is truth in it as long as there are any."""

    def __init__(self, blocks: Sequence[Block], surroundings: Surroundings) -> None:
        self._around = surroundings
        # The next one is last.
        self._pending = [Unit(block, 0, 0) for block in reversed(blocks)]

    def __bool__(self) -> bool:
        return bool(self._pending)

    def take(self) -> list[Unit]:
        """Take units, at least one, as long as they are thought to fit into one part.

        What would not fit into a part of its own is split, so that its first pieces may still come along.
        """
        taken: list[Unit] = []
        weight, room = 0, self._room(self._pending[-1])
        while self._pending:
            unit = self._pending[-1]
            size = self._around.sheet.weight(unit.block.lines)
            if weight + size <= room:
                taken.append(self._pending.pop())
                weight += size
            elif (has_body(taken) and size <= self._room(unit)) or not self.split():
                break
        return self._well_cut(taken or [self._pending.pop()], room)

    def give_back(self, units: Sequence[Unit]) -> None:
        """Put units that were taken last in line again."""
        self._pending.extend(reversed(units))

    def split(self) -> bool:
        """Replace the next unit by finer ones; False if there are none."""
        finer = self._pending[-1].finer()
        if finer:
            self._pending[-1:] = reversed(finer)
        return bool(finer)

    def pop(self) -> Unit:
        """Take the next unit."""
        return self._pending.pop()

    def _room(self, unit: Unit) -> int:
        around = self._around.of(unit.block.lines.first, unit.block.heads)
        return self._around.budget - around.weight

    def _well_cut(self, taken: list[Unit], room: int) -> list[Unit]:
        """Give back what follows the outermost cut in the last third of the room."""
        if not self._pending:
            return taken
        weights = accumulate(self._around.sheet.weight(unit.block.lines) for unit in taken)
        followers = [*taken[1:], self._pending[-1]]
        # A head goes with its body into the next part, unless there is nothing else.
        ends = [
            (weight * 3 >= room * 2, -follower.cut, end)
            for end, (unit, weight, follower) in enumerate(zip(taken, weights, followers, strict=True), 1)
            if not unit.block.leads
        ]
        end = self._best(ends) if ends else len(taken)
        self.give_back(taken[end:])
        return taken[:end]

    @staticmethod
    def _best(ends: list[tuple[bool, int, int]]) -> int:
        late = [end for end in ends if end[0]]
        return max(late)[2] if late else ends[-1][2]


def has_body(units: Sequence[Unit]) -> bool:
    """Tell whether there is more than heads of what follows: these alone would make no part worth asking about."""
    return any(not unit.block.leads for unit in units)
