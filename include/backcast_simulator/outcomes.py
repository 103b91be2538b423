"""What becomes of a request: scripted rules first, then the shares that are to fail, else an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backcast_simulator.chance import draw
from backcast_simulator.errors import Problem, of_type
from backcast_simulator.rules import Rule, parse_rules, rule_for, scripted_error, view_of_rule
from backcast_simulator.weather import WEATHERS, Weather

if TYPE_CHECKING:
    import datetime as dt

__all__ = ["Fate", "Odds", "Rule", "parse_rules", "rule_for", "scripted_error", "view_of_rule"]


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
    """The settings that decide fates: the seed, the weather and the shares of requests that fail (0 to 1).

    `cache_hit_share` is the share of a batch's requests that find a prompt in the cache when it is there.
    """

    seed: int = 1
    weather: Weather = WEATHERS["calm"]
    errored_share: float = 0.0
    expired_share: float = 0.0
    cache_hit_share: float = 0.7

    def fate(self, custom_id: str, problem: Problem | None, rule: Rule | None, factor: float = 1.0) -> Fate:
        """The fate of a request; `problem` is what is wrong with its parameters, `rule` the rule that applies.

        `factor` is that of its batch, by the weather.
        """
        latency = self.weather.latency(self.seed, custom_id, factor)
        if problem is not None:
            return Fate(latency, error=problem)
        if rule is not None:
            error = scripted_error(rule)
            return Fate(None if rule.outcome == "expired" else latency, error=error, script=rule)
        return self._by_chance(custom_id, latency)

    def _by_chance(self, custom_id: str, latency: dt.timedelta | None) -> Fate:
        if not self.errored_share and not self.expired_share:
            return Fate(latency)
        point = draw(self.seed, "outcome", custom_id)
        if point < self.errored_share:
            first_half = draw(self.seed, "error", custom_id) < 0.5  # noqa: PLR2004  one of two, evenly
            return Fate(latency, error=of_type("api_error" if first_half else "overloaded_error"))
        if point < self.errored_share + self.expired_share:
            return Fate(None)
        return Fate(latency)
