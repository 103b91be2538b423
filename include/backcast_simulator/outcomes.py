"""What becomes of a request: scripted rules first, then the shares that are to fail, else an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from backcast_simulator.chance import draw
from backcast_simulator.errors import Problem, invalid, of_type
from backcast_simulator.weather import WEATHERS, Weather

if TYPE_CHECKING:
    import datetime as dt

Scripted = Literal["errored", "expired", "truncated", "refusal", "malformed", "invalid_request", "answer"]


@dataclass(frozen=True, slots=True)
class Rule:
    """Decides the outcome of requests whose last user message contains `match`.

    `attempts` are the times, counted from 1, that a message with the very same text has come in; None is any.
    """

    match: str
    outcome: Scripted
    attempts: frozenset[int] | None = None
    error_type: str = "api_error"
    text: str = ""

    def applies(self, text: str, attempt: int) -> bool:
        """Whether this rule decides about the `attempt`-th request with this text."""
        return self.match in text and (self.attempts is None or attempt in self.attempts)


def parse_rules(body: object) -> list[Rule]:
    """The rules in the body of `POST /simulator/rules`; a 400 that names the mistake."""
    if not isinstance(body, list):
        raise invalid("rules: a JSON list of rules is expected")
    return [_rule(index, entry) for index, entry in enumerate(body)]


def _rule(index: int, entry: object) -> Rule:
    if not isinstance(entry, dict):
        raise invalid(f"rules.{index}: Input should be a valid dictionary")
    unknown = set(entry) - {"match", "attempts", "outcome", "error_type", "text"}
    if unknown:
        raise invalid(f"rules.{index}.{min(unknown)}: Extra inputs are not permitted")
    match = entry.get("match")
    outcome: Scripted | None = entry.get("outcome")
    if not isinstance(match, str):
        raise invalid(f"rules.{index}.match: a string is expected")
    if outcome is None or outcome not in get_args(Scripted):
        raise invalid(f"rules.{index}.outcome: one of {', '.join(get_args(Scripted))} is expected")
    attempts = entry.get("attempts")
    if attempts is not None and not (isinstance(attempts, list) and all(isinstance(n, int) for n in attempts)):
        raise invalid(f"rules.{index}.attempts: a list of integers is expected")
    return Rule(
        match=match,
        outcome=outcome,
        attempts=None if attempts is None else frozenset(attempts),
        error_type=str(entry.get("error_type") or "api_error"),
        text=str(entry.get("text") or ""),
    )


def view_of_rule(rule: Rule) -> dict[str, Any]:
    """The rule as JSON, in the shape it is posted in."""
    attempts = None if rule.attempts is None else sorted(rule.attempts)
    return {
        "match": rule.match,
        "attempts": attempts,
        "outcome": rule.outcome,
        "error_type": rule.error_type,
        "text": rule.text,
    }


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one request if nobody cancels it.

    `latency` is the time from its creation to its end, None when it never ends. With an `error` it ends as
    errored; else it succeeds, in the way that `script` says, or with an answer.
    """

    latency: dt.timedelta | None
    error: Problem | None = None
    script: Rule | None = None


@dataclass(frozen=True, slots=True)
class Odds:
    """The settings that decide fates: the seed, the weather and the shares of requests that fail (0 to 1)."""

    seed: int = 1
    weather: Weather = WEATHERS["calm"]
    errored_share: float = 0.0
    expired_share: float = 0.0

    def fate(self, custom_id: str, problem: Problem | None, rule: Rule | None) -> Fate:
        """The fate of a request; `problem` is what is wrong with its parameters, `rule` the rule that applies."""
        latency = self.weather.latency(self.seed, custom_id)
        if problem is not None:
            return Fate(latency, error=problem)
        if rule is not None:
            error = scripted_error(rule)
            return Fate(None if rule.outcome == "expired" else latency, error=error, script=rule)
        return self._by_chance(custom_id, latency)

    def _by_chance(self, custom_id: str, latency: dt.timedelta) -> Fate:
        point = draw(self.seed, "outcome", custom_id)
        if point < self.errored_share:
            first_half = draw(self.seed, "error", custom_id) < 0.5  # noqa: PLR2004  one of two, evenly
            return Fate(latency, error=of_type("api_error" if first_half else "overloaded_error"))
        if point < self.errored_share + self.expired_share:
            return Fate(None)
        return Fate(latency)


def scripted_error(rule: Rule) -> Problem | None:
    """The error that a rule asks for, or None when it asks for something else."""
    if rule.outcome == "errored":
        return of_type(rule.error_type)
    if rule.outcome == "invalid_request":
        return Problem("invalid_request_error", rule.text or "messages.0.content: Input could not be processed")
    return None


def rule_for(rules: list[Rule], text: str, attempt: int) -> Rule | None:
    """The first rule that applies to the `attempt`-th request with this text."""
    return next((rule for rule in rules if rule.applies(text, attempt)), None)
