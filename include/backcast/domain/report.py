"""What a published report says, apart from how it is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

Severity = Literal["critical", "high", "medium", "low"]
Effort = Literal["minutes", "hours", "days"]
FindingStatus = Literal["new", "persisting", "fixed"]


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
class Report:
    """A report in full. Findings come ordered by what pays off most; times are timezone-aware, in UTC."""

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
