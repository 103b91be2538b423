"""The order in which findings are shown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backcast.domain.report import Finding, Order

TOP = 20
PER_FILE_IN_TOP = 3

# Each step of severity is worth about as much more as each step of effort costs more, so the steps are set off.
_SEVERITY = {"critical": 3, "high": 2, "medium": 1, "low": 0}
_EFFORT = {"minutes": 0, "hours": 1, "days": 2}

_Key = tuple[int, int, str, int, int, str, str, str]


def ranked(findings: Iterable[Finding], first: Order) -> list[Finding]:
    """Order findings as a workflow wants it."""
    return pays_off_most(findings) if first == "pays_off" else worst_first(findings)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Order by severity alone, and what is equally severe by effort: no file with many of the worst is held back."""
    return sorted(findings, key=lambda finding: (-_SEVERITY[finding.severity], *_key(finding)))


def pays_off_most(findings: Iterable[Finding]) -> list[Finding]:
    """Order by severity over effort; among the first twenty at most three are of one file, where others can follow."""
    top: list[Finding] = []
    rest: list[Finding] = []
    of_file: Counter[str] = Counter()
    for finding in sorted(findings, key=_key):
        if len(top) < TOP and of_file[finding.path] < PER_FILE_IN_TOP:
            of_file[finding.path] += 1
            top.append(finding)
        else:
            rest.append(finding)
    return top + rest


def _key(finding: Finding) -> _Key:
    severity, effort = _SEVERITY[finding.severity], _EFFORT[finding.effort]
    return (
        effort - severity,
        -severity,
        finding.path,
        finding.line_start,
        finding.line_end,
        finding.category,
        finding.title,
        finding.fingerprint,
    )
