"""Merges what was found in the parts of a document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Finding: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PartFindings:
    """What was found in one part: the first and last line of its core, and findings with the document's numbers."""

    first: int
    last: int
    findings: tuple[Finding, ...]

    @property
    def own(self) -> tuple[Finding, ...]:
        """The findings that end in the core: this part was shown what leads up to them, others less, or as context."""
        return tuple(finding for finding in self.findings if self.first <= finding["line_end"] <= self.last)


def merge_findings(parts: Iterable[PartFindings]) -> list[Finding]:
    """Merge the findings of all parts of a document, in its order.

    Neither the order of the parts matters, nor in how many steps they are merged. Each finding is believed to the part
    that it ends in. What two parts tell of the same line under the same category, such as of the head of a class that
    both are in, is told once, as the first of them found it.
    """
    in_order = sorted({part.first: part for part in parts}.values(), key=lambda part: part.first)
    told_by: dict[tuple[int, str], int] = {}
    merged = []
    for part in in_order:
        merged += [finding for finding in part.own if told_by.setdefault(_about(finding), part.first) == part.first]
    return sorted(merged, key=_place)


def _about(finding: Finding) -> tuple[int, str]:
    return finding["line_start"], finding["category"]


def _place(finding: Finding) -> tuple[int, int, str]:
    return finding["line_start"], finding["line_end"], json.dumps(finding, sort_keys=True)
