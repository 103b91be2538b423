"""How long requests take: latency distributions with names."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from statistics import NormalDist

from backcast_simulator.chance import draw

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Weather:
    """A lognormal latency of one request: its median in hours and the spread (sigma of its logarithm)."""

    median_hours: float
    sigma: float

    def latency(self, seed: int, custom_id: str) -> dt.timedelta:
        """How long this request takes; the same for the same seed and custom_id."""
        deviation = _NORMAL.inv_cdf(draw(seed, "latency", custom_id))
        return dt.timedelta(hours=self.median_hours * math.exp(self.sigma * deviation))


# The spread is of single requests; a batch takes as long as its slowest. In `busy`, one request in a
# hundred would take longer than the window and expires.
WEATHERS = {
    "calm": Weather(median_hours=0.6, sigma=0.3),
    "slow": Weather(median_hours=2.5, sigma=0.4),
    "busy": Weather(median_hours=6.0, sigma=0.6),
}
