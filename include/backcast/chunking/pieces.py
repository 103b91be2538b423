"""Nodes of a syntax tree as far as lines are concerned: which of them belong to one block."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backcast.chunking.chunks import LineRange
from backcast.chunking.heads import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tree_sitter import Node

# Where it stands by itself above something, it is about that.
_ABOUT_NEXT = re.compile("comment|attribute|annotation|decorator")
_CLOSES = re.compile(r"[)\]};,]+|end\w*|fi|done|esac|@end|#endif")


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of a node, or of neighbours in one line.

    Attributes:
        lines: all of them.
        node: only where it may be split between its lines.
        about_next: whether it stays with what follows in the next line, as a comment does.
        closes: whether it stays with what it follows, as a closing brace does.
    """

    lines: LineRange
    node: Node | None
    about_next: bool
    closes: bool


def pieces_of(nodes: Iterable[Node]) -> Iterator[Piece]:
    """Give the pieces of siblings, in order."""
    last = 0
    for node in nodes:
        if node.start_byte == node.end_byte:
            # What the parser missed at the end of the text, such as a quote, stands below the last line.
            continue
        lines = lines_of(node)
        # A minified line may have a hundred thousand nodes: those after the first say nothing new about lines.
        if lines.last > last:
            divisible = lines.first < lines.last and node.child_count > 0
            about_next = _ABOUT_NEXT.search(node.type) is not None
            closes = not node.is_named and _CLOSES.fullmatch(node.type) is not None
            yield Piece(lines, node if divisible else None, about_next, closes)
        last = max(last, lines.last)


def divided(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Replace each piece that may be split by those that it consists of."""
    for piece in pieces:
        if piece.node:
            yield from pieces_of(piece.node.children)
        else:
            yield piece


def grouped(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Group pieces so that no line belongs to two groups, and each stays with what it is about or closes."""
    groups: list[list[Piece]] = []
    last = 0
    about_next = False
    for piece in pieces:
        first = piece.lines.first
        if groups and (first <= last or piece.closes or (about_next and first == last + 1)):
            _add(groups[-1], piece)
            about_next = about_next and piece.about_next
        else:
            groups.append([piece])
            about_next = piece.about_next
        last = max(last, piece.lines.last)
    return groups


def _add(group: list[Piece], piece: Piece) -> None:
    before = group[-1]
    if before.closes and piece.closes:
        # What is nested thousands deep is closed as often, and would be gone through again at each level.
        group[-1] = Piece(LineRange(before.lines.first, piece.lines.last), None, about_next=False, closes=True)
    else:
        group.append(piece)
