"""What a review of a diff has to say: findings, and what was not reviewed, with its reason."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

Severity: TypeAlias = Literal["critical", "high", "medium", "low"]

# The worst first.
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)


@dataclass(frozen=True, slots=True)
class ReviewFinding:
    """What is wrong with lines of the new side of a file; from 1, both inclusive. `evidence` is quoted from them."""

    path: str
    line_start: int
    line_end: int
    severity: Severity
    category: str
    title: str
    why: str
    suggestion: str
    evidence: str

    @classmethod
    def told(cls, path: str, finding: dict[str, Any]) -> ReviewFinding:
        """Return a finding of an accepted answer; its file is the one that was asked about, whatever is said."""
        names = ("line_start", "line_end", "severity", "category", "title", "why", "suggestion", "evidence")
        return cls(path=path, **{name: finding[name] for name in names})

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return SEVERITIES.index(self.severity)


@dataclass(frozen=True, slots=True)
class NotReviewed:
    """A file, or lines of it from 1 and inclusive, and why nothing is said of it."""

    path: str
    reason: str
    lines: tuple[int, int] | None = None

    @property
    def where(self) -> str:
        """The path, and the lines where it is not all of the file."""
        return self.path if self.lines is None else f"{self.path}:{self.lines[0]}-{self.lines[1]}"


@dataclass(frozen=True, slots=True)
class Review:
    """The review of what `head` brings to `base`.

    Attributes:
        repository: a path, or a URL without credentials.
        base: the branch, tag or commit that it is compared with.
        head: the branch, tag or commit that is reviewed.
        merge_base: the commit that both come from.
        commit: of the head.
        model: who reviewed it.
        prompt: the version of the prompt.
        simulated: whether a simulator answered, so that no model was asked.
        files: how many files were asked about.
        findings: by path and line.
        left_out: what is not reviewed at all, such as binaries.
        unanswered: what should have been reviewed, and was not.
        unchanged: how many findings were about lines that the diff does not touch, and were left out.
        requests: how many were sent.
        cost_usd: what the answers cost.
        risked_usd: what requests without a known end may have cost at most.
        seconds: how long it took.
    """

    repository: str
    base: str
    head: str
    merge_base: str
    commit: str
    model: str
    prompt: str
    simulated: bool
    files: int
    findings: tuple[ReviewFinding, ...]
    left_out: tuple[NotReviewed, ...]
    unanswered: tuple[NotReviewed, ...]
    unchanged: int
    requests: int
    cost_usd: Decimal
    risked_usd: Decimal
    seconds: float

    def at_or_above(self, severity: Severity) -> list[ReviewFinding]:
        """Return the findings that are at least so severe."""
        return [finding for finding in self.findings if finding.rank <= SEVERITIES.index(severity)]

    def view(self) -> dict[str, Any]:
        """Return it as JSON can hold it, once decimals are text."""
        return asdict(self)

    def summary(self) -> str:
        """Say in a sentence what came of it."""
        counts = [
            f"{count} {severity}"
            for severity in SEVERITIES
            if (count := sum(finding.severity == severity for finding in self.findings))
        ]
        by_severity = f" ({', '.join(counts)})" if counts else ""
        said = f"{_plural(len(self.findings), 'finding')}{by_severity}"
        missing = f", {len(self.unanswered)} not answered" if self.unanswered else ""
        risked = f", and US$ {self.risked_usd:.4f} at most for what has no known end" if self.risked_usd else ""
        return (
            f"{said} in {_plural(self.files, 'file')}{missing}, {len(self.left_out)} left out; "
            f"{self.seconds:.1f} s, US$ {self.cost_usd:.4f}{risked}"
        )


def ordered(findings: Iterable[ReviewFinding]) -> tuple[ReviewFinding, ...]:
    """Return findings by path and line, the worst of a line first, each once."""
    distinct = dict.fromkeys(findings)
    return tuple(sorted(distinct, key=lambda one: (one.path, one.line_start, one.rank, one.line_end, one.title)))


def severity_of(text: str) -> Severity:
    """Return the severity of this name.

    Raises:
        ValueError: there is none.
    """
    if text not in SEVERITIES:
        raise ValueError(f"{text!r} is no severity: write one of {', '.join(SEVERITIES)}")
    return text


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
