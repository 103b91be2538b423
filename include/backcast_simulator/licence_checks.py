"""What a file's own text says of its licence: terms that do not go together, and origins without their terms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from backcast_simulator.findings import Finding, Severity, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = 40
_COMMENT = re.compile(r"^\s*(#|//|/\*|\*|--|;|<!--|\"\"\"|''')")
_COPYLEFT = re.compile(r"(?i)\bA?GPL-\d|GNU (Affero )?General Public License")
_PERMISSIVE = re.compile(
    r"(?i)\b(Apache[- ](License|2)|MIT License|SPDX-License-Identifier:.*\b(MIT|Apache-2\.0|BSD-\d))"
)
# The usual GPL header says "either version 3, or any later version": that is no choice of another licence.
_EASED = re.compile(r"SPDX-License-Identifier:.*\b(OR|WITH)\b|(?i:dual[- ]licen[cs]e|your choice of|linking exception)")
_CLOSED = re.compile(r"(?i)\b(proprietary and confidential|confidential and proprietary|unpublished proprietary)\b")
_ORIGIN = re.compile(
    r"(?i)\b(copied|taken|adapted|borrowed|stolen|ported) (verbatim )?from\b.*?(https?://|github\.com|stack ?overflow)"
)
_TERMS = re.compile(r"(?i)licen[cs]e|copyright|\bSPDX\b|CC BY")
_PROSE = frozenset({"md", "rst", "txt", "html", ""})


def check(source: Source) -> Iterator[Finding]:
    """All findings of this module's checks; prose about licences is none of their business."""
    if source.suffix in _PROSE:
        return
    docstring = _docstring_end(source)
    comments = [(n, line) for n, line in enumerate(source.lines, 1) if n <= docstring or _COMMENT.match(line)]
    head = [(n, line) for n, line in comments if n <= _HEAD]
    yield from _copyleft(source, head)
    yield from _closed(source, head)
    yield from _origins(source, comments)


def _docstring_end(source: Source) -> int:
    """The last line of the text in quotes that a module begins with; 0 when it begins with none."""
    first = source.line(1).strip()
    quotes = first[:3]
    if quotes not in ('"""', "'''"):
        return 0
    if quotes in first[3:]:
        return 1
    return next((n for n, line in enumerate(source.lines[:_HEAD], 1) if n > 1 and quotes in line), _HEAD)


def _copyleft(source: Source, head: list[tuple[int, str]]) -> Iterator[Finding]:
    number = next((n for n, line in head if _COPYLEFT.search(line)), None)
    text = "\n".join(line for _, line in head)
    if number is None or _EASED.search(text):
        return
    other = next((n for n, line in head if n != number and _PERMISSIVE.search(line)), None)
    if other is not None:
        yield _finding(
            source,
            number,
            f"The header names a GPL licence at line {number} and a permissive one at line {other}",
            "Both cannot hold for the same file unless it says how: whoever passes it on does not know which does.",
            "Find out where the file comes from, and keep the one header that is true.",
            "high",
        )
        return
    yield _finding(
        source,
        number,
        "The file is under a GPL licence",
        "Whoever distributes a work with this file in it must put the whole of it under that licence; next to a "
        "permissive or closed licence of the project that is a conflict.",
        "Compare with the project's licence; replace the file, or ask its authors for other terms, if they differ.",
        "medium",
    )


def _closed(source: Source, head: list[tuple[int, str]]) -> Iterator[Finding]:
    for number, line in head:
        if _CLOSED.search(line):
            yield _finding(
                source,
                number,
                "The header calls the file proprietary and confidential",
                "Such a notice gives nobody the right to pass the file on, whatever the project's licence says.",
                "Remove the file, or the notice when its owner has agreed to the project's licence.",
                "medium",
            )
            return


def _origins(source: Source, comments: list[tuple[int, str]]) -> Iterator[Finding]:
    if any(_TERMS.search(line) for _, line in comments):
        return
    for number, line in comments:
        if _ORIGIN.search(line):
            yield _finding(
                source,
                number,
                f"Code from elsewhere at line {number} comes without its licence",
                "The comment says where the code is from; most licences also want their notice kept, and without "
                "one there is no right to copy at all.",
                "Look up the licence at the origin and add its notice here, or write the code anew.",
                "low",
            )


def _finding(source: Source, number: int, title: str, why: str, suggestion: str, severity: Severity) -> Finding:  # noqa: PLR0913, PLR0917  the fields of a finding
    quoted = source.quote(number, number)
    return Finding(title, "licence", severity, "hours", number, number, quoted, why, suggestion)
