"""Parses code with tree-sitter, but not at any price."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tree_sitter import Parser

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Point

# A megabyte of code takes a tenth of a second; some of what is no code of the language takes minutes, since the parser
# weighs ever more ways to make sense of it. Nothing but time tells the one from the other, and the parser looks at the
# clock ever more seldom, so that a longer limit would be kept less well.
_LONGEST_SECONDS = 1.0
_READ_BYTES = 1 << 16
_ERROR = "ERROR"


def parsed(text: str, grammar: Language) -> Node | None:
    """Return the outermost node of code, or None if it cannot be parsed, or not in about a second."""
    # What UTF-8 cannot hold takes no line feed with it, and lines are all that is read from the tree.
    source = text.encode("utf-8", "replace")
    end = time.monotonic() + _LONGEST_SECONDS

    def read(start: int, _point: Point) -> bytes:
        return source[start : start + _READ_BYTES]

    def is_too_long(_offset: int, _has_error: bool) -> bool:  # noqa: FBT001  the parser's own signature
        return time.monotonic() > end

    try:
        root = Parser(grammar).parse(read, progress_callback=is_too_long).root_node
    except ValueError:
        return None
    return None if root.type == _ERROR else root
