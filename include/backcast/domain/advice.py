"""Advice about a repository, given by a model that looked into it with tools."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from backcast.domain.lines import passage_at, split_lines
from backcast.domain.reviews import SEVERITIES, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about a package; `evidence` stands in the file from `line` on, counted from 1."""

    path: str
    line: int
    severity: Severity
    kind: str
    package: str
    title: str
    why: str
    suggestion: str
    evidence: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the model advised, and why it is not among the advice."""

    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class Suspicious:
    """A line that the model was shown and that seems to speak to it."""

    path: str
    line: int
    what: str


@dataclass(frozen=True, slots=True)
class ToolTurn:
    """One message of the model: which tools it asked for, what it used and cost, and how long it took."""

    asked: tuple[str, ...]
    prompt_tokens: int
    output_tokens: int
    cost_usd: Decimal
    seconds: float


@dataclass(frozen=True, slots=True)
class AdviceReport:
    """Advice about a commit, and how it came about.

    Attributes:
        workflow: that asked for it.
        repository: a path, or a URL without credentials.
        ref: what was asked about.
        commit: its full id.
        model: who was asked.
        prompt: the version of the prompt.
        simulated: whether a simulator answered, so that no model was asked.
        lock_files: the files that say which versions are used.
        summary: the model's own.
        advice: the worst first.
        left_out: what it advised without a quotation that is there.
        unanswered: why there is no answer; empty when there is one.
        suspicious: what it was shown that seems to speak to it.
        turns: each of its messages.
        cost_usd: what they cost.
        risked_usd: what a request without a known end may have cost at most.
        seconds: how long all of it took.
    """

    workflow: str
    repository: str
    ref: str
    commit: str
    model: str
    prompt: str
    simulated: bool
    lock_files: tuple[str, ...]
    summary: str
    advice: tuple[Advice, ...]
    left_out: tuple[LeftOut, ...]
    unanswered: str
    suspicious: tuple[Suspicious, ...]
    turns: tuple[ToolTurn, ...]
    cost_usd: Decimal
    risked_usd: Decimal
    seconds: float

    def view(self) -> dict[str, Any]:
        """Return it as JSON can hold it, once decimals are text."""
        return asdict(self)

    def told(self) -> str:
        """Say in a sentence what came of it."""
        risked = f", and US$ {self.risked_usd:.4f} at most for what has no known end" if self.risked_usd else ""
        said = f"no answer: {self.unanswered}" if self.unanswered else f"{len(self.advice)} pieces of advice"
        return f"{said}; {len(self.turns)} turns, {self.seconds:.1f} s, US$ {self.cost_usd:.4f}{risked}"


def place_of(quote: str, text: str) -> int | None:
    """Return the line at which quoted lines stand in a text, counted from 1; None when they do not."""
    at = passage_at(split_lines(text), quote)
    return None if at is None else at + 1


def worst_first(advice: Iterable[Advice]) -> tuple[Advice, ...]:
    """Return advice by severity, then by place."""
    return tuple(
        sorted(advice, key=lambda one: (SEVERITIES.index(one.severity), one.path, one.line, one.title)),
    )
