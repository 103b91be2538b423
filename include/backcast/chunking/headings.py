"""Finds the headings of Markdown, reStructuredText and HTML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Levels by the first lines of headings, the highest being least; and the lines that stand inside of fences.
Headings: TypeAlias = "tuple[Mapping[int, int], frozenset[int]]"

_ATX = re.compile(r" {0,3}(#{1,6})(?:\s|$)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_SETEXT = re.compile(r" {0,3}(?:(=+)|-+)\s*$")
_UNDERLINE = re.compile(r"([^\w\s])\1{2,}\s*$")
_HTML = re.compile(r"\s*<h([1-6])\b", re.IGNORECASE)


def headings_of(language: str, lines: Sequence[str]) -> Headings:
    """Return the headings of prose, in order, and the lines inside of its fences; other languages have none."""
    find = _FINDERS.get(language)
    return find(lines) if find else ({}, frozenset())


def _markdown(lines: Sequence[str]) -> Headings:
    headings: dict[int, int] = {}
    fenced: set[int] = set()
    fence = ""
    for number, line in enumerate(lines, 1):
        mark = _FENCE.match(line)
        if fence:
            fenced.add(number)
            if mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                fence = ""
        elif mark:
            fence = mark[1]
        elif atx := _ATX.match(line):
            headings[number] = len(atx[1])
        elif (setext := _SETEXT.match(line)) and _is_title(lines, number - 1):
            headings[number - 1] = 1 if setext[1] else 2
    return headings, frozenset(fenced)


def _is_title(lines: Sequence[str], number: int) -> bool:
    """Tell whether a line can be a heading that the next line underlines: it is a paragraph of its own."""
    if number < 1 or not lines[number - 1].strip() or _ATX.match(lines[number - 1]):
        return False
    return number == 1 or not lines[number - 2].strip()


def _rst(lines: Sequence[str]) -> Headings:
    headings: dict[int, int] = {}
    styles: list[tuple[str, bool]] = []
    for number in range(2, len(lines) + 1):
        title, line = lines[number - 2].rstrip(), lines[number - 1]
        underline = _UNDERLINE.match(line)
        if not underline or not title or _UNDERLINE.match(title) or len(line.rstrip()) < len(title):
            continue
        overlined = number > 2 and lines[number - 3].rstrip() == line.rstrip()  # noqa: PLR2004  above the title
        style = (underline[1], overlined)
        if style not in styles:
            styles.append(style)
        headings[number - 2 if overlined else number - 1] = styles.index(style) + 1
    return headings, frozenset()


def _html(lines: Sequence[str]) -> Headings:
    found = ((number, _HTML.match(line)) for number, line in enumerate(lines, 1))
    return {number: int(match[1]) for number, match in found if match}, frozenset()


_FINDERS: dict[str, Callable[[Sequence[str]], Headings]] = {"markdown": _markdown, "rst": _rst, "html": _html}
PROSE = frozenset(_FINDERS) | {"plain-text", "text"}
