"""How long requests take: latency distributions with names, or from a file."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any

import yaml

from backcast_simulator.chance import draw

_NORMAL = NormalDist()
_NUMBERS = ("median_hours", "sigma", "batch_sigma", "never_share")
_MOST_HOURS = 1e6
# One request in a million is then about e**48 times as slow as the median; far beyond that, floats end.
_MOST_SIGMA = 10


class WeatherError(ValueError):
    """Raised for a weather that is not one; says what is wrong."""


@dataclass(frozen=True, slots=True)
class Weather:
    """The latency of one request, in hours, times a factor that all requests of its batch share.

    Lognormal by `median_hours` and `sigma`, the spread of its logarithm; or, when there are `quantiles`, by them:
    pairs of a share (0 to 1) and the hours that this share of requests does not exceed, straight lines between.
    `batch_sigma` is the spread of the batch's factor, and `never_share` the share of requests that never finish.
    """

    median_hours: float = 0.6
    sigma: float = 0.3
    batch_sigma: float = 0.0
    never_share: float = 0.0
    quantiles: tuple[tuple[float, float], ...] = ()

    def batch_factor(self, seed: int, ordinal: int) -> float:
        """What the latencies of all requests of the `ordinal`-th batch are multiplied by."""
        if not self.batch_sigma:
            return 1.0
        return math.exp(self.batch_sigma * _NORMAL.inv_cdf(draw(seed, "batch", ordinal)))

    def latency(self, seed: int, custom_id: str, factor: float = 1.0) -> dt.timedelta | None:
        """How long this request takes, None for ever; the same for the same seed, custom_id and factor."""
        if self.never_share and draw(seed, "never", custom_id) < self.never_share:
            return None
        hours = self._hours(draw(seed, "latency", custom_id)) * factor
        # Whatever is longer than the window expires, and a timedelta does not hold any number of hours.
        return dt.timedelta(hours=min(hours, _MOST_HOURS))

    def _hours(self, point: float) -> float:
        if self.quantiles:
            return _between(self.quantiles, point)
        return self.median_hours * math.exp(self.sigma * _NORMAL.inv_cdf(point))


def _between(quantiles: tuple[tuple[float, float], ...], point: float) -> float:
    low_share, low_hours = 0.0, 0.0
    for share, hours in quantiles:
        if point <= share:
            return low_hours + (hours - low_hours) * (point - low_share) / (share - low_share or 1.0)
        low_share, low_hours = share, hours
    return low_hours


# The spread is of single requests; a batch takes as long as its slowest. In `busy`, one request in a
# hundred would take longer than the window and expires; in `worst`, one in four.
WEATHERS = {
    "calm": Weather(median_hours=0.6, sigma=0.3, batch_sigma=0.1),
    "slow": Weather(median_hours=2.5, sigma=0.4, batch_sigma=0.2),
    "busy": Weather(median_hours=6.0, sigma=0.6, batch_sigma=0.2),
    "worst": Weather(median_hours=15.5, sigma=0.6, batch_sigma=0.2),
    "all-expire": Weather(never_share=1.0),
}


def read_weather(name_or_path: str) -> Weather:
    """The weather with this name, or the one in this YAML or JSON file; a WeatherError that says what is wrong."""
    named = WEATHERS.get(name_or_path)
    if named is not None:
        return named
    path = Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(WEATHERS)
        raise WeatherError(f"{name_or_path} is neither a weather ({names}) nor a readable file: {error}") from None
    try:
        return parse_weather(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise WeatherError(f"{path}: not valid YAML or JSON: {error}") from None
    except WeatherError as error:
        raise WeatherError(f"{path}: {error}") from None


def parse_weather(body: object) -> Weather:
    """The weather in a mapping; a WeatherError that names the key that is wrong."""
    if not isinstance(body, dict):
        raise WeatherError("a mapping is expected, such as {median_hours: 0.6, sigma: 0.3}")
    unknown = set(body) - {*_NUMBERS, "quantiles"}
    if unknown:
        raise WeatherError(f"{min(map(str, unknown))}: not a key of a weather; {', '.join(_NUMBERS)} and quantiles are")
    numbers = {name: _number(name, body[name]) for name in _NUMBERS if name in body}
    if numbers.get("never_share", 0.0) > 1:
        raise WeatherError("never_share: a share from 0 to 1 is expected")
    return Weather(**numbers, quantiles=_quantiles(body.get("quantiles", {})))


def _number(name: str, value: Any) -> float:  # noqa: ANN401  whatever the file holds
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise WeatherError(f"{name}: a number that is not negative is expected, not {value!r}")
    most = _MOST_SIGMA if name.endswith("sigma") else _MOST_HOURS
    if value > most:
        raise WeatherError(f"{name}: a number of at most {most:g} is expected")
    return float(value)


def _quantiles(value: Any) -> tuple[tuple[float, float], ...]:  # noqa: ANN401  whatever the file holds
    if not isinstance(value, dict):
        raise WeatherError("quantiles: a mapping of shares (0 to 1) to hours is expected, such as {0.5: 0.6, 1: 20}")
    pairs = sorted((_share(share), _number(f"quantiles.{share}", hours)) for share, hours in value.items())
    if pairs and pairs[-1][0] < 1:
        raise WeatherError("quantiles: the hours at share 1, the longest, are missing")
    if any(later[1] < earlier[1] for earlier, later in pairwise(pairs)):
        raise WeatherError("quantiles: hours must not fall as shares rise")
    return tuple(pairs)


def _share(value: Any) -> float:  # noqa: ANN401  whatever the file holds
    try:
        share = float(value)
    except (TypeError, ValueError):
        raise WeatherError(f"quantiles.{value}: a share from 0 to 1 is expected") from None
    if not 0 <= share <= 1:
        raise WeatherError(f"quantiles.{value}: a share from 0 to 1 is expected")
    return share
