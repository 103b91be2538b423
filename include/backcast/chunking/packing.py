"""Packs blocks into parts: as few as fit, cut where the structure is outermost, blocks split only if they must be."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING

from backcast.chunking.chunks import Block, Chunk, LineRange, TokenCounter, Unsplittable
from backcast.chunking.queue import Queue, Unit, has_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backcast.chunking.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Packer:
    """Packs the blocks of one document.

    What a part weighs only guides it: that a part is within the budget is counted, so the count may grow unevenly with
    the text. It is counted a few times for each part, not for each line, since a counter may ask a server.

    Attributes:
        surroundings: what is shown around a part. Their budget is the weight that is thought to fit.
        budget_tokens: the most that a part may have as it is shown.
        count_tokens: counts them.
    """

    surroundings: Surroundings
    budget_tokens: int
    count_tokens: TokenCounter

    def pack(self, blocks: Sequence[Block]) -> Iterator[Chunk | Unsplittable]:
        """Give the parts of consecutive blocks, in order."""
        queue = Queue(blocks, self.surroundings)
        while queue:
            part = self._fitting(queue, queue.take())
            if part is not None:
                yield part

    def _fitting(self, queue: Queue, taken: list[Unit]) -> Chunk | Unsplittable | None:
        """Give a part that is counted to fit, of as many of these units as do; None if one was split."""
        while True:
            chunk = self._chunk(taken)
            tokens = self.count_tokens(chunk.numbered)
            if tokens <= self.budget_tokens:
                return chunk
            if len(taken) == 1:
                queue.give_back(taken)
                return None if queue.split() else self._line(queue.pop())
            end = self._fewer(taken, len(chunk.numbered) * self.budget_tokens // tokens)
            queue.give_back(taken[end:])
            taken = taken[:end]
            if not has_body(taken) and queue.split():
                queue.give_back(taken)
                return None

    def _fewer(self, taken: list[Unit], most: int) -> int:
        """Return how many of the units weigh at most so much with what is around them: at least one, but not all."""
        first = taken[0].block
        room = most - self.surroundings.of(first.lines.first, first.heads).weight
        weights = accumulate(self.surroundings.sheet.weight(unit.block.lines) for unit in taken[:-1])
        return max(1, sum(1 for _ in takewhile(lambda weight: weight <= room, weights)))

    def _chunk(self, taken: Sequence[Unit]) -> Chunk:
        first, last = taken[0].block, taken[-1].block
        around = self.surroundings.of(first.lines.first, first.heads)
        core = LineRange(first.lines.first, last.lines.last)
        return self.surroundings.sheet.chunk(core, around.shown_first, around.context)

    def _line(self, unit: Unit) -> Chunk | Unsplittable:
        """Show less and less around a line that does not fit otherwise."""
        lines = unit.block.lines
        tokens = 0
        for context in (self.surroundings.of(lines.first, unit.block.heads).context, ()):
            chunk = self.surroundings.sheet.chunk(lines, lines.first, context)
            tokens = self.count_tokens(chunk.numbered)
            if tokens <= self.budget_tokens:
                return chunk
        return Unsplittable(lines.first, tokens)
