"""Merges what was found in the parts of a document."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from backcast.domain.lines import split_lines

Finding: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PartFindings:
    """What was found in one part: the first and last line of its core, and findings with the document's numbers."""

    first: int
    last: int
    findings: tuple[Finding, ...]

    def saw_all_of(self, finding: Finding) -> bool:
        """Tell whether the finding ends in the core: then this part was shown what leads up to it, others less."""
        return self.first <= int(finding["line_end"]) <= self.last


def in_document_lines(findings: Iterable[Finding], shown_first: int) -> tuple[Finding, ...]:
    """Return findings with the document's line numbers, given such as count from 1 at a part's `shown_first`.

    They are wanted only when a part is shown as `Chunk.text`; `Chunk.numbered` carries the document's numbers.
    """
    offset = shown_first - 1
    moved = (
        {**finding, "line_start": finding["line_start"] + offset, "line_end": finding["line_end"] + offset}
        for finding in findings
    )
    return tuple(moved)


def merge_findings(parts: Iterable[PartFindings]) -> list[Finding]:
    """Merge the findings of all parts of a document, in its order; the order of the parts does not matter.

    Where parts overlap, both may have found the same: the same lines under the same category, or the same evidence in
    lines that meet. It is kept once, as found by the part that saw all of it. Two findings of one part are never taken
    for the same.

    A part that was split again is left out, and its own parts are given in its place: so it does not matter in how many
    steps a document was split.
    """
    candidates = sorted(((part, finding) for part in _once(parts) for finding in part.findings), key=_preference)
    kept = _Kept()
    findings = [finding for part, finding in candidates if kept.is_new(part, finding)]
    return sorted(findings, key=_place)


def _once(parts: Iterable[PartFindings]) -> list[PartFindings]:
    """Return each part once; the same answer may have been read twice."""
    return list({(part.first, part.last, json.dumps(part.findings, sort_keys=True)): part for part in parts}.values())


def _place(finding: Finding) -> tuple[int, int, str]:
    return finding["line_start"], finding["line_end"], json.dumps(finding, sort_keys=True)


def _preference(found: tuple[PartFindings, Finding]) -> tuple[bool, int, int, tuple[int, int, str]]:
    part, finding = found
    return not part.saw_all_of(finding), part.first, part.last, _place(finding)


class _Kept:
    """Knows what other parts have found already."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, int, str], set[int]] = defaultdict(set)
        self._quotes: dict[str, list[tuple[int, int, int]]] = defaultdict(list)

    def is_new(self, part: PartFindings, finding: Finding) -> bool:
        """Tell whether no other part has found this, and remember it if so."""
        start, end = finding["line_start"], finding["line_end"]
        place = (start, end, finding["category"])
        quote = "\n".join("".join(line.split()) for line in split_lines(finding["evidence"].strip()))
        if self._places[place] - {part.first} or any(
            other != part.first and first <= end and start <= last for other, first, last in self._quotes[quote]
        ):
            return False
        self._places[place].add(part.first)
        self._quotes[quote].append((part.first, start, end))
        return True
