"""What a report counts up from its findings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from backcast.domain.report import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from backcast.domain.report import Finding

SEVERITIES: tuple[str, ...] = get_args(Severity)
ROOT = "."


@dataclass(frozen=True, slots=True)
class Row:
    """The findings below one folder, or of one category; `counts` go from critical to low."""

    name: str
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """All findings of the row."""
        return sum(self.counts)


def by_severity(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings there are of each severity, worst first."""
    counted = Counter(finding.severity for finding in findings)
    return {severity: counted[severity] for severity in SEVERITIES}  # type: ignore[index]


def by_directory(findings: Iterable[Finding]) -> list[Row]:
    """The findings of each folder, two levels deep; the folder with the worst ones first."""
    rows = _rows(findings, lambda finding: top_directory(finding.path))
    return sorted(rows, key=lambda row: (tuple(-number for number in row.counts), row.name))


def by_category(findings: Iterable[Finding], categories: Sequence[str]) -> list[Row]:
    """The findings of each category that has any, in the order of `categories`; others come after them."""
    order = {category: place for place, category in enumerate(categories)}
    rows = _rows(findings, lambda finding: finding.category)
    return sorted(rows, key=lambda row: (order.get(row.name, len(order)), row.name))


def _rows(findings: Iterable[Finding], name_of: Callable[[Finding], str]) -> list[Row]:
    counted: dict[str, Counter[str]] = {}
    for finding in findings:
        counted.setdefault(name_of(finding), Counter())[finding.severity] += 1
    return [Row(name, tuple(counts[severity] for severity in SEVERITIES)) for name, counts in counted.items()]


def top_directory(path: str) -> str:
    """The first two folders of a path, or `.` for a file at the top."""
    return "/".join(path.split("/")[:-1][:2]) or ROOT
