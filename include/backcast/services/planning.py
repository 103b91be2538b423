"""Turns what a person or a workflow wishes into a plan, with what it will cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from backcast.domain.capacity import Rate, Work
from backcast.domain.durations import parse_duration
from backcast.domain.errors import InputError
from backcast.domain.plan import Plan, Wish, make_plan
from backcast.domain.pricing import Usage, batch_cost, synchronous_cost
from backcast.domain.schedule import parse_due
from backcast.services.routing import require_batch
from backcast.settings import load_model, load_workflow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

DEFAULTS: Final[Mapping[str, Any]] = {
    "sla": "30h",
    "window": "24h",
    "requests": 300,
    # A source file of some 200 lines, and a handful of findings.
    "input_tokens": 2700,
    "output_tokens": 800,
    "requests_per_minute": Rate().requests_per_minute,
    "tokens_per_minute": Rate().tokens_per_minute,
    "model": "claude-sonnet-5-5",
}
_OF_THE_FILE: Final = ("sla", "every", "due", "slots", "model", "opportunistic")
# What fails once and goes again, of what was sent.
_FAILURES: Final = Decimal("0.08")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a report costs in US$: everything as a batch, and everything answered synchronously after it expired.

    Both with failures going again; expired requests are not billed.
    """

    least_usd: Decimal
    most_usd: Decimal


@dataclass(frozen=True, slots=True)
class Planned:
    """A wish, its plan, and its cost."""

    wish: Wish
    plan: Plan
    cost: Cost


def plan_ahead(workflow: str | None, given: Mapping[str, Any], now: datetime) -> Planned:
    """Plan a workflow, or what is given alone, from now on.

    Args:
        workflow: its name; what is given goes before what it declares.
        given: any of `sla`, `window`, `every`, `due` as text, and the names of `DEFAULTS`; None is not given.
        now: the time in UTC.

    Raises:
        InputError: a value cannot be used, the SLA cannot hold, or the workflow is not for batches; the message says
            what to write.
    """
    if workflow is not None:
        require_batch(workflow)
    try:
        values = {
            **DEFAULTS,
            **_declared(workflow),
            **_known(given),
        }
        wish = _wish(values)
        return Planned(wish, make_plan(wish, now), usual_cost(values))
    except ValueError as error:
        raise InputError(str(error)) from error


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _declared(workflow: str | None) -> dict[str, Any]:
    if workflow is None:
        return {}
    declared = load_workflow(workflow)
    wanted = {name: declared[name] for name in _OF_THE_FILE if name in declared}
    rescue: dict[str, Any] = declared.get("rescue", {})
    return wanted | rescue


def _wish(values: Mapping[str, Any]) -> Wish:
    requests = values["requests"]
    return Wish(
        sla=parse_duration(values["sla"]),
        window=parse_duration(values["window"]),
        work=Work(requests, requests * (values["input_tokens"] + values["output_tokens"])),
        rate=Rate(values["requests_per_minute"], values["tokens_per_minute"]),
        due=parse_due(values["due"]) if values.get("due") else None,
        every=parse_duration(values["every"]) if values.get("every") else None,
        most_slots=values.get("slots"),
        opportunistic=values.get("opportunistic", False),
    )


def usual_cost(values: Mapping[str, Any]) -> Cost:
    """Return what so many requests cost, of `values` by the names of `DEFAULTS`; what fails goes again."""
    model = load_model(values["model"])
    usage = Usage(input_tokens=values["input_tokens"], output_tokens=values["output_tokens"])
    times = values["requests"] * (1 + _FAILURES)
    return Cost(times * batch_cost(model, usage), times * synchronous_cost(model, usage))
