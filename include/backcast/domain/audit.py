"""An audit's findings held against the repository: what is checked, and what a check is worth."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from backcast.domain.advice import place_of
from backcast.domain.lines import passage_at, quote_is_at, split_lines
from backcast.domain.workflow import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date, datetime

    from backcast.domain.report import Finding

CheckVerdict: TypeAlias = Literal["verified", "refuted", "unclear"]
# Of another workflow's findings, those that are worth a check of their own.
SEVERE: Final = ("critical", "high")
_RANK: Final[dict[CheckVerdict, int]] = {"verified": 0, "unclear": 1, "refuted": 2}


@dataclass(frozen=True, slots=True)
class CheckTerms:
    """How a workflow's findings are checked.

    Attributes:
        top: at most so many findings are asked about in a run, those that come first in its report.
        max_turns: how many messages the model may write about one.
        max_usd: what all checks of a run may cost together, in US$.
        client_tools: what the model may look into the repository with.
    """

    top: int = 20
    max_turns: int = 12
    max_usd: Decimal = Decimal("2.00")
    client_tools: tuple[str, ...] = ("read_file", "search")


@dataclass(frozen=True, slots=True)
class Quotation:
    """Lines of a file, from 1 and both inclusive, and what stands there."""

    path: str
    line_start: int
    line_end: int
    quote: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What an answer about a finding is worth once its quotations were looked up."""

    verdict: CheckVerdict
    reason: str
    evidence: tuple[Quotation, ...]


@dataclass(frozen=True, slots=True)
class FindingCheck:
    """What a report says of a finding that was to be checked.

    Attributes:
        fingerprint: of the finding.
        verdict: whether it is true; `unclear` as well when nobody could be asked.
        reason: of the verdict, or why there is none.
        evidence: what was quoted for it, and stands in the repository.
        asked: whether a model gave the verdict.
        run_id: the run that paid for it, which may be an earlier one; None when nobody was asked.
        checked_at: when, in UTC; None when nobody was asked.
    """

    fingerprint: str
    verdict: CheckVerdict
    reason: str
    evidence: tuple[Quotation, ...] = ()
    asked: bool = False
    run_id: int | None = None
    checked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditWeek:
    """What the last audit that was due in an ISO week said; everything but `beside` is 0 when there was none.

    Attributes:
        week: its name, 2026-W48.
        begins: its Monday.
        audits: how many were published of those that were due in it.
        run_id: the last of them; None when there was none.
        critical: findings of that severity, as are `high`, `medium` and `low`.
        new: findings that the audit before it did not have.
        fixed: findings of the audit before it that were gone.
        verified: findings that a check has verified, as are `refuted` and `unclear`.
        beside: open findings of the workflow beside it, in its last report of the seven days before; None: no report.
        cost_usd: what audits of that week cost, with their checks.
    """

    week: str
    begins: date
    audits: int
    run_id: int | None
    critical: int
    high: int
    medium: int
    low: int
    new: int
    fixed: int
    verified: int
    refuted: int
    unclear: int
    beside: int | None
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class Audit:
    """What checks brought, and how the audits of the last weeks went.

    Attributes:
        terms: how findings are checked.
        checks: of the report's own findings, in its order, and of those beside it.
        conversations: how many findings were asked about in this run.
        cost_usd: what that cost.
        risked_usd: what requests without a known end may have cost at most.
        weeks: the oldest first; the last one is that of this report.
        zone: the time zone of these weeks.
    """

    terms: CheckTerms
    checks: tuple[FindingCheck, ...]
    conversations: int
    cost_usd: Decimal
    risked_usd: Decimal
    weeks: tuple[AuditWeek, ...]
    zone: str

    def by_finding(self) -> dict[str, FindingCheck]:
        """Return the checks by the fingerprints of their findings."""
        return {check.fingerprint: check for check in self.checks}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A finding that may be checked, in a document of this content."""

    finding: Finding
    content_hash: str
    check_key: str


def check_key(  # noqa: PLR0913, PLR0917  what makes two checks the same
    workflow: str,
    repository: str,
    finding: str,
    content_hash: str,
    prompt_hash: str,
    model: str,
    *,
    simulated: bool,
) -> str:
    """Return the identity of a check: one of the same identity is not paid for twice.

    `finding` stands for all that is told of it: a verdict is about what a finding says, and not only about its lines.
    """
    kind = "simulated" if simulated else "asked"
    return digest(workflow, repository, finding, content_hash, prompt_hash, model, kind)


def to_ask(candidates: Iterable[Candidate], settled: Mapping[str, object], most: int) -> list[Candidate]:
    """Return the first of the candidates of which nothing is settled, by their keys, each key once."""
    chosen: dict[str, Candidate] = {}
    for one in candidates:
        if len(chosen) >= most:
            break
        if one.check_key not in settled:
            chosen.setdefault(one.check_key, one)
    return list(chosen.values())


def worth_a_check(finding: Finding, categories: Iterable[str]) -> bool:
    """Whether another workflow's finding is to be checked with an audit's: it is severe, and of a kind it looks for."""
    return finding.severity in SEVERE and finding.category in categories


def standing(finding: Finding, text: str) -> tuple[int, int] | None:
    """Return the lines at which what a finding quotes stands in a text now; None when it does not."""
    if quote_is_at(split_lines(text), finding.evidence, finding.line_start, finding.line_end):
        return finding.line_start, finding.line_end
    first = place_of(finding.evidence, text)
    return None if first is None else (first, first + len(split_lines(finding.evidence.strip())) - 1)


def same_place(one: Finding, other: Finding) -> bool:
    """Whether two findings are about one place: their passages overlap, and they quote a line in common.

    A long passage, such as a function that is too complex, has much within it that is another matter.
    """
    overlap = one.line_start <= other.line_end and other.line_start <= one.line_end
    return one.path == other.path and overlap and bool(_quoted(one) & _quoted(other))


def _quoted(finding: Finding) -> set[str]:
    return {line.strip() for line in split_lines(finding.evidence) if line.strip()}


def judged(answer: Mapping[str, Any], text_of: Callable[[str], str | None], speaks: str = "") -> Judged:
    """Return what an answer is worth: a verdict whose quotations do not stand in the repository is none.

    Nor is a finding refuted by a repository that speaks to the model: whoever wrote that may want it gone.

    Args:
        answer: as the schema of checks has it.
        text_of: returns the text of a file by its path; None when it cannot be read.
        speaks: where the model was shown a line that seems to speak to it; empty when it was not.
    """
    verdict, reason = answer["verdict"], answer["reason"]
    pieces = [(piece, _placed(piece, text_of(piece["path"]))) for piece in answer["evidence"]]
    standing_pieces = tuple(placed for _, placed in pieces if placed is not None)
    if verdict == "unclear":
        return Judged("unclear", reason, standing_pieces)
    why = ""
    if not pieces:
        why = "nothing was quoted for it"
    elif missing := next((piece for piece, placed in pieces if placed is None), None):
        why = f"what was quoted for it does not stand in {missing['path']}"
    elif verdict == "refuted" and speaks:
        why = f"{speaks} seems to speak to the model"
    if why:
        return Judged("unclear", f"It was said to be {verdict}, but {why}. {reason}", standing_pieces)
    return Judged(verdict, reason, standing_pieces)


def _placed(piece: Mapping[str, Any], text: str | None) -> Quotation | None:
    if text is None:
        return None
    path, quote, first, last = (piece[name] for name in ("path", "quote", "line_start", "line_end"))
    lines = split_lines(text)
    # A number that is off by one is no reason to doubt a quotation that is there, nor does a range say where it is.
    within = passage_at(lines[first - 1 : last], quote) if 1 <= first <= last <= len(lines) else None
    found = first + within if within is not None else place_of(quote, text)
    return None if found is None else Quotation(path, found, found + len(split_lines(quote.strip())) - 1, quote)


def verified_first(findings: Iterable[Finding], audit: Audit) -> tuple[Finding, ...]:
    """Order findings for a report: the verified first, the refuted last, each in the order that they had."""
    rank = {check.fingerprint: _RANK[check.verdict] for check in audit.checks}
    return tuple(sorted(findings, key=lambda finding: rank.get(finding.fingerprint, _RANK["unclear"])))
