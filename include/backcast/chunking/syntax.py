"""Blocks of code by its syntax tree: a class at its methods, a function at its statements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from backcast.chunking.chunks import Block, LineRange, Outline, consecutive
from backcast.chunking.heads import head_of, imports_of, lines_of
from backcast.chunking.parsing import parsed
from backcast.chunking.pieces import divided, grouped, pieces_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tree_sitter import Language, Node

    from backcast.chunking.indentation import Indented
    from backcast.chunking.pieces import Piece

_ERROR = "ERROR"


def outline_by_syntax(text: str, grammar: Language, plain: Indented) -> Outline | None:
    """Return the outline of code, or None if most of it cannot be parsed.

    Args:
        text: at least one line.
        grammar: of the language it is written in.
        plain: the same lines, for what has no syntax inside: long comments and strings.
    """
    root = parsed(text, grammar)
    lines = LineRange(1, len(plain.lines))
    nodes = root.children if root else []
    if root is None or _misread(nodes) * 2 > lines.last:
        return None
    shared = tuple(imports_of(nodes))
    tree = _Tree(plain)
    pieces = list(pieces_of(nodes))
    blocks = tree.split(pieces, lines, ()) or tree.blocks(pieces, lines, ())
    return Outline(blocks or [plain.block(lines)], shared)


def _misread(nodes: Iterable[Node]) -> int:
    ranges = (lines_of(node) for node in nodes if node.type == _ERROR)
    return sum(lines.last - lines.first + 1 for lines in ranges)


@dataclass(frozen=True, slots=True)
class _Tree:
    plain: Indented

    def blocks(self, pieces: Sequence[Piece], lines: LineRange, heads: tuple[LineRange, ...]) -> Sequence[Block]:
        """Go down from pieces that share lines to the first of what they consist of that does not."""
        while any(piece.node for piece in pieces):
            heads = (*heads, *(head for piece in pieces if piece.node and (head := head_of(piece.node))))
            pieces = list(divided(pieces))
            blocks = self.split(pieces, lines, heads)
            if blocks:
                return blocks
        return self.plain.blocks(lines, heads)

    def split(self, pieces: Sequence[Piece], lines: LineRange, heads: tuple[LineRange, ...]) -> list[Block]:
        """Return a block for each group of pieces, or none if all are of one group."""
        groups = grouped(pieces)
        if len(groups) <= 1:
            return []
        parts = consecutive([group[0].lines.first for group in groups[1:]], lines)
        head_ends = heads[-1].last if heads else 0
        return [
            Block(part, heads, partial(self.blocks, group, part, heads), leads=part.last <= head_ends)
            for part, group in zip(parts, groups, strict=True)
        ]
