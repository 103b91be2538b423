"""Which API a workflow's work belongs on, by who waits for it and what must run in mid-answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from backcast.domain.durations import told
from backcast.domain.sla import SHORTEST_INTERVAL, SlaError, Terms, require_feasible, with_hoped_window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.domain.audit import CheckTerms
    from backcast.domain.schedule import Due


CHECK_STEP: Final = "check_findings"


class Api(StrEnum):
    """How documents are asked about."""

    BATCH = "batch"
    SYNCHRONOUS = "synchronous"
    BOTH = "batch, then synchronous"


@dataclass(frozen=True, slots=True)
class Declared:
    """What a workflow says of itself, as far as it decides about the API.

    Attributes:
        sla: how long a run may take; when it is blocking, how long somebody waits at most.
        blocking: somebody waits for the answer.
        client_tools: tools that somebody must run in mid-answer.
        server_tools: tools that the API runs, inside a batch as well.
        opportunistic: a batch is tried although the SLA is shorter than one may take.
        due: when a report is due; None when it has no such time.
        every: how far apart its submissions are; None when that is not said.
        slots: at most so many submissions before each due time.
        check: how findings are held against the repository before they are reported; None: they are not.
    """

    sla: timedelta
    blocking: bool = False
    client_tools: tuple[str, ...] = ()
    server_tools: tuple[str, ...] = ()
    opportunistic: bool = False
    due: Due | None = None
    every: timedelta | None = None
    slots: int | None = None
    check: CheckTerms | None = None

    @property
    def terms(self) -> Terms:
        """The SLA, with nothing to answer synchronously."""
        return Terms(self.sla)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a workflow that goes another way than the rest of it, and why, in a sentence."""

    name: str
    api: Api
    why: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where a workflow's work goes: the API, who waits, and why, in sentences; `steps` go another way than the rest."""

    api: Api
    waits: str
    why: str
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return ", then ".join([str(self.api), *(f"{step.name} {step.api}" for step in self.steps)])


def contradictions(declared: Declared) -> Iterator[tuple[str, str]]:
    """Yield what cannot be true together, whatever the clock says: a key, and what is wrong with it."""
    given = {
        "due": declared.due is not None,
        "every": declared.every is not None,
        "slots": declared.slots is not None,
        "opportunistic": declared.opportunistic,
    }
    yield from _about_batches(declared, [key for key, is_given in given.items() if is_given])
    for name in declared.client_tools:
        if name in declared.server_tools:
            yield "client_tools", f"{name!r} is among server_tools, too. Either the API runs it, or somebody else."
    if declared.check is not None and (declared.blocking or declared.client_tools):
        key = "blocking" if declared.blocking else "client_tools"
        why = f"it is a step after batches, and by {key} all of this workflow is asked synchronously."
        yield "check", f"{why} Leave out check, or {key}: the tools of the check are its own."


def _about_batches(declared: Declared, given: list[str]) -> Iterator[tuple[str, str]]:
    if declared.blocking:
        for key in given:
            why = f"blocking says that somebody waits for the answer, and a batch that {key} speaks of may take 24 h."
            yield key, f"{why} Leave out {key}, or blocking."
    elif declared.client_tools:
        why = f"client_tools says that somebody must run {_listed(declared.client_tools)} in mid-answer, and a batch"
        for key in (key for key in given if key != "due"):
            out = f"Leave out {key}, or, if the API itself runs the tool, name it in server_tools."
            yield key, f"{why} that {key} speaks of has no turn for it. {out}"
    elif "slots" in given and "due" not in given:
        yield "slots", "it counts the submissions before each due time, and there is none. Write due, or leave it out."
    elif {"opportunistic", "every"} <= {*given} and "due" not in given:
        why = "what arrives between two submissions waits for the next one, for which so short an SLA has no time."
        yield "opportunistic", f"{why} Leave out opportunistic, or write due in place of every."


def route(declared: Declared) -> Route:
    """Decide which API a workflow's work belongs on.

    Raises:
        SlaError: it is to start by itself, nobody waits, and yet a batch has no time; the message says what to write.
    """
    waits = _waits(declared)
    if declared.blocking:
        return Route(
            Api.SYNCHRONOUS,
            waits,
            f"Somebody waits, at most {told(declared.sla)}, and a batch may take {told(declared.terms.window)}.",
        )
    if declared.client_tools:
        return Route(
            Api.SYNCHRONOUS,
            waits,
            f"Somebody must run {_listed(declared.client_tools)} in mid-answer, for which a batch has no turn.",
        )
    routed = _route_by_clock(declared, waits)
    return routed if declared.check is None else _with_check(routed, declared.check)


def _with_check(routed: Route, check: CheckTerms) -> Route:
    why = (
        f"What of it comes first, at most {check.top} findings, is then checked synchronously: somebody must run "
        f"{_listed(check.client_tools)} in mid-answer, for which a batch has no turn."
    )
    return replace(routed, why=f"{routed.why} {why}", steps=(Step(CHECK_STEP, Api.SYNCHRONOUS, why),))


def _route_by_clock(declared: Declared, waits: str) -> Route:
    terms = declared.terms
    try:
        require_feasible(terms, SHORTEST_INTERVAL if declared.every and not declared.due else timedelta())
    except SlaError as error:
        if declared.opportunistic:
            return _tried(declared, waits)
        if declared.due or declared.every:
            raise SlaError(
                f"{error} Or write `opportunistic: true`: then a batch is tried, and what it has not answered at its "
                "cut-off is asked synchronously."
            ) from error
        return Route(
            Api.SYNCHRONOUS,
            waits,
            f"{told(terms.sla)} are less than the {told(terms.minimum_sla)} that a batch needs at worst.",
        )
    return Route(
        Api.BATCH,
        waits,
        f"Nobody waits, nobody has to run a tool in mid-answer, and {told(terms.sla)} hold a batch's "
        f"{told(terms.window)} with {told(terms.buffer)} left, of which {told(terms.reserve)} are needed: "
        f"half the price.{_server_tools(declared)}",
    )


def _tried(declared: Declared, waits: str) -> Route:
    hoped = with_hoped_window(declared.terms).window
    return Route(
        Api.BOTH,
        waits,
        f"Nobody waits, and {told(declared.sla)} are less than a batch needs at worst; opportunistic lets one be tried "
        f"for {told(hoped)}. What it has not answered then is asked synchronously.{_server_tools(declared)}",
    )


def _server_tools(declared: Declared) -> str:
    return f" Inside it, the API runs {_listed(declared.server_tools)}." if declared.server_tools else ""


def _waits(declared: Declared) -> str:
    if declared.blocking:
        return f"somebody, at most {told(declared.sla)}"
    return f"nobody: due {declared.due}" if declared.due else f"nobody: answered within {told(declared.sla)}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)
