"""What a check of an installation found, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

_SECOND: Final = timedelta(seconds=1)
_CLOCK_WARNS: Final = timedelta(seconds=30)
_CLOCK_FAILS: Final = timedelta(minutes=5)
_LEAST_FREE_BYTES: Final = 10**9
_LEAST_POSTGRESQL: Final = 15
_POSTGRESQL_MAJOR: Final = 10_000


class State(StrEnum):
    """How a check ended; `skipped` could not be made, which is no failure."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `told` is a sentence: what is so, or what to do."""

    name: str
    state: State
    told: str


Verdict: TypeAlias = tuple[State, str]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is told of a model, by the API or, where that says nothing, by its SDK.

    Attributes:
        batches: whether it can be asked in batches; None when nobody says.
        lifecycle: `active`, `deprecated` or `retired`; None when nobody says.
        ends_at: when it is, or was, to be retired; None when no date is known.
    """

    batches: bool | None = None
    lifecycle: str | None = None
    ends_at: datetime | None = None


def any_failed(checks: Iterable[Check]) -> bool:
    """Whether something has to be mended."""
    return any(check.state is State.FAILED for check in checks)


def clock_ahead(before: datetime, server: datetime, after: datetime) -> timedelta:
    """Return how far our clock is ahead of a server's at least; negative when it is behind.

    Args:
        before: our time before the server was asked.
        server: its time in the answer, in whole seconds, so that it may be almost a second later.
        after: our time after the answer.
    """
    if before > server + _SECOND:
        return before - server - _SECOND
    return min(after - server, timedelta())


def judge_clock(ahead: timedelta) -> Verdict:
    """Judge how far our clock is ahead of the API's."""
    off = abs(ahead)
    if off <= _CLOCK_WARNS:
        return State.OK, "agrees with the API's clock to within 30 s."
    direction = "ahead of" if ahead > timedelta() else "behind"
    told = (
        f"is {off.total_seconds():.0f} s {direction} the API's. Deadlines and cut-offs are kept by this clock, while a "
        "batch's 24 hours, and the time after which a batch in doubt is looked for, are the API's. Synchronize it, for "
        "example by NTP."
    )
    return State.FAILED if off > _CLOCK_FAILS else State.WARNING, told


def judge_end_of_life(facts: ModelFacts, now: datetime, sla: timedelta) -> Verdict:
    """Judge whether a model will be there for as long as a run that is opened now, which may take its SLA."""
    if facts.lifecycle == "retired":
        return State.FAILED, "is retired and answers no more. Choose another `model` in workflow.yaml."
    if facts.ends_at is None:
        if facts.lifecycle == "deprecated":
            return State.WARNING, "is deprecated, and no date of its end is known. Choose another `model` soon."
        return State.OK, "is known here, and no end of it is announced."
    days = (facts.ends_at - now).days
    when = f"in {days} days" if days >= 0 else f"{-days} days ago"
    ends = f"reaches its end of life on {facts.ends_at:%Y-%m-%d}, {when}"
    if facts.ends_at <= now + sla:
        return (
            State.FAILED,
            f"{ends}: a run opened now may outlive it. Choose another `model` in workflow.yaml.",
        )
    return State.WARNING, f"{ends}. Choose another `model` in workflow.yaml until then."


def judge_batches(facts: ModelFacts) -> Verdict:
    """Judge whether a model that the API has can be asked in batches."""
    if facts.batches is None:
        return State.OK, "is at the API, which does not say whether it takes batches."
    if facts.batches:
        return State.OK, "is at the API, and takes batches."
    return State.FAILED, "takes no batches, as the API says. Choose another `model` in workflow.yaml."


def judge_disk(free_bytes: int, what: str) -> Verdict:
    """Judge how much is free where something, such as `reports in /var/reports`, is kept."""
    told = f"{free_bytes / 10**9:,.1f} GB free for {what}"
    if free_bytes < _LEAST_FREE_BYTES:
        return State.WARNING, f"{told}: make room, at least 1 GB. Without it, reports and clones cannot be written."
    return State.OK, f"{told}."


def judge_postgresql(server_version: int) -> Verdict:
    """Judge a server by its version as it tells it: 150004 is 15.4."""
    major, minor = divmod(server_version, _POSTGRESQL_MAJOR)
    if major < _LEAST_POSTGRESQL:
        return State.FAILED, f"is version {major}.{minor}: the ledger needs {_LEAST_POSTGRESQL} or later."
    return State.OK, f"is version {major}.{minor}."


def judge_revision(revision: str | None, head: str) -> Verdict:
    """Judge the revision that a ledger was migrated to; None when it never was."""
    if revision == head:
        return State.OK, f"is migrated, to revision {head}."
    if revision is not None and revision > head:
        return (
            State.FAILED,
            f"is at revision {revision}, and this is {head}. Install a Backcast as new as that.",
        )
    at = f"at revision {revision}" if revision else "not migrated"
    return State.FAILED, f"is {at}, and this needs {head}. Run `backcast migrate`."
