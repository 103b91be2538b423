"""What a report counts up from its findings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from backcast.domain.report import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backcast.domain.report import Finding

SEVERITIES: tuple[str, ...] = get_args(Severity)
ROOT = "."


@dataclass(frozen=True, slots=True)
class DirectoryRow:
    """The findings below one folder; `counts` go from critical to low."""

    folder: str
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """All findings below the folder."""
        return sum(self.counts)


def by_severity(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings there are of each severity, worst first."""
    counted = Counter(finding.severity for finding in findings)
    return {severity: counted[severity] for severity in SEVERITIES}  # type: ignore[index]


def by_directory(findings: Iterable[Finding]) -> list[DirectoryRow]:
    """The findings of each folder, two levels deep; the folder with the worst ones first."""
    counted: dict[str, Counter[str]] = {}
    for finding in findings:
        counted.setdefault(top_directory(finding.path), Counter())[finding.severity] += 1
    rows = [DirectoryRow(folder, tuple(counts[name] for name in SEVERITIES)) for folder, counts in counted.items()]
    return sorted(rows, key=lambda row: (tuple(-number for number in row.counts), row.folder))


def top_directory(path: str) -> str:
    """The first two folders of a path, or `.` for a file at the top."""
    return "/".join(path.split("/")[:-1][:2]) or ROOT
