"""What of a syntax tree is shown with each part of the code: imports, and the heads of classes and functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from backcast.chunking.chunks import LineRange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tree_sitter import Node

# Grammars name alike what is alike; these are the names of those in grammars.py.
_IMPORT = re.compile(
    "import|package_|preproc_include|use_declaration|using_|namespace_use|extern_crate|future_import|open_|header$"
)
_AROUND_ALL = re.compile("preproc_if|namespace_d|mod_item|declaration_list$")
_BODY = re.compile("(?:^|_)(?:body|block)$|compound_statement|(?:declaration|method)_list$")
_SCOPE = re.compile(
    "class|module|namespace|interface|trait|impl|object|function|method|struct|enum|protocol|preproc_if"
)


def lines_of(node: Node) -> LineRange:
    """Return the lines of a node; one that ends with a line feed does not reach into the next line."""
    first, (last, column) = node.start_point.row, node.end_point
    return LineRange(first + 1, max(first, last if column else last - 1) + 1)


def imports_of(nodes: Iterable[Node]) -> Iterator[LineRange]:
    """Give the lines that say what the code below uses, or where it belongs, of outermost nodes.

    They may stand within what encloses a whole file: an include guard, a namespace.
    """
    for node in nodes:
        if _IMPORT.match(node.type) and _before_body(node) is None:
            yield lines_of(node)
        elif _AROUND_ALL.match(node.type):
            yield from imports_of(node.children)


def head_of(node: Node) -> LineRange | None:
    """Return the first lines of a node that encloses others, up to where its body starts, or None."""
    lines = lines_of(node)
    inner = node.child_by_field_name("definition") or node.child_by_field_name("declaration")
    before_body = _before_body(node) or (_before_body(inner) if inner else None)
    if before_body is not None:
        return LineRange(lines.first, max(lines.first, before_body))
    is_scope = node.is_named and _SCOPE.search(node.type) and not _BODY.search(node.type)
    return LineRange(lines.first, lines.first) if is_scope else None


def _before_body(node: Node) -> int | None:
    """Return the last line that a node has before its body, or None if it has no body."""
    named = node.child_by_field_name("body")
    before = node.start_point.row
    for child in node.children:
        start = child.start_point.row
        if child == named or (named is None and child.is_named and _BODY.search(child.type)):
            # A brace that opens the body in the same line is shown with the head, one in a line of its own is not.
            return start + 1 if start == before else start
        before = child.end_point.row
    return None
