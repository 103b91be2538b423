"""What a published report says, apart from how it is rendered."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.domain.audit import Audit

Severity = Literal["critical", "high", "medium", "low"]
Effort = Literal["minutes", "hours", "days"]
FindingStatus = Literal["new", "persisting", "fixed"]
# What comes first: the worst for the least effort, or the worst.
Order = Literal["pays_off", "worst"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding in one document; lines are 1-based and inclusive."""

    fingerprint: str
    status: FindingStatus
    path: str
    line_start: int
    line_end: int
    category: str
    severity: Severity
    effort: Effort
    title: str
    why: str
    suggestion: str
    evidence: str


@dataclass(frozen=True, slots=True)
class UnansweredDocument:
    """A document that got no acceptable answer, with the reason a person can act on."""

    path: str
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class SkippedDocuments:
    """How many documents were left out for one reason, and a few of them by name."""

    reason: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """How the run's documents ended; the four outcomes add up to `collected`."""

    collected: int
    answered: int
    reused: int
    skipped: int
    unanswered: int


@dataclass(frozen=True, slots=True)
class Spend:
    """Tokens and US dollars of this run's requests; `synchronous_usd` is the same work at the synchronous price."""

    requests: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: Decimal
    synchronous_usd: Decimal


@dataclass(frozen=True, slots=True)
class FirstAttempts:
    """How many first requests came back and were accepted, and what trying the others again cost, in US$."""

    requests: int = 0
    accepted: int = 0
    retries: int = 0
    retries_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Retried:
    """A document that failed at least once, and how it went on, in a line."""

    path: str
    answered: bool
    lineage: str


@dataclass(frozen=True, slots=True)
class SuspiciousDocument:
    """A document that speaks to the model: what it does, first on which line; None when its name does."""

    path: str
    line: int | None
    what: str


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """How a workflow's report is put together; `beside` names another workflow, whose findings are shown, too."""

    first: Order = "pays_off"
    beside: str | None = None


@dataclass(frozen=True, slots=True)
class ReportRef:
    """A published report, by its run."""

    run_id: int
    published_at: datetime
    commit: str


@dataclass(frozen=True, slots=True)
class SeenFinding:
    """A finding of another workflow, and the last of its reports to have it."""

    run_id: int
    published_at: datetime
    finding: Finding


@dataclass(frozen=True, slots=True)
class SeenToo:
    """A finding of a report, by its fingerprint, that another workflow's report has too, under a category there."""

    fingerprint: str
    run_id: int
    published_at: datetime
    category: str


@dataclass(frozen=True, slots=True)
class Beside:
    """What another workflow's reports since a time found, without what this report found itself.

    The latest report comes first. A finding is fixed when the latest report no longer has it. What is open at the place
    of a finding of this report is not among the findings: it is told in `same`.
    """

    workflow: str
    since: datetime
    reports: tuple[ReportRef, ...]
    findings: tuple[SeenFinding, ...]
    fixed: tuple[SeenFinding, ...]
    same: tuple[SeenToo, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A report in full; times are timezone-aware, in UTC.

    Findings come in the order that `first` names; `categories` are those that the answer schema lists.
    `interim` when a later run makes the report that is due at this deadline. `retried` says how the documents went on
    that failed at first; `suspicious` are those whose answers should not be relied on. `audit` is what checks of the
    findings brought; None where findings are not checked.
    """

    workflow: str
    run_id: int
    repository: str
    ref: str
    commit: str
    committed_at: datetime
    model: str
    prompt_version: str
    simulated: bool
    opened_at: datetime
    published_at: datetime
    deadline: datetime
    previous_published_at: datetime | None
    totals: Totals
    spend: Spend
    findings: tuple[Finding, ...]
    fixed: tuple[Finding, ...]
    unanswered: tuple[UnansweredDocument, ...]
    skipped: tuple[SkippedDocuments, ...]
    first: Order = "pays_off"
    categories: tuple[str, ...] = ()
    beside: Beside | None = None
    interim: bool = False
    retried: tuple[Retried, ...] = ()
    first_attempts: FirstAttempts = field(default_factory=FirstAttempts)
    suspicious: tuple[SuspiciousDocument, ...] = ()
    audit: Audit | None = None
