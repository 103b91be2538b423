"""Limits by tier: calls a minute, requests in the queue, and what may be spent."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backcast_simulator.errors import ApiError, Problem

if TYPE_CHECKING:
    import datetime as dt

    from backcast_simulator.settings import SpendLimitKind, Tier

_SECONDS_A_MINUTE = 60


@dataclass(frozen=True, slots=True)
class TierLimits:
    """Calls a minute of all batch endpoints together, and requests in the queue, of all models together."""

    calls_a_minute: int
    queued_requests: int


LIMITS: dict[Tier, TierLimits] = {
    "start": TierLimits(1_000, 200_000),
    "build": TierLimits(2_000, 300_000),
    "scale": TierLimits(4_000, 500_000),
}


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a call was allowed: `retry_after` seconds are None when it may go on."""

    limit: int
    remaining: int
    seconds_to_full: float
    retry_after: int | None

    def refusal(self) -> ApiError:
        """The 429 for a call that may not go on."""
        text = f"This request would exceed your organization's rate limit of {self.limit} requests per minute."
        return ApiError(Problem("rate_limit_error", text), headers={"retry-after": str(self.retry_after)})


class RateLimit:
    """A bucket that holds a minute's calls and fills up steadily, in simulated time."""

    def __init__(self, calls_a_minute: int) -> None:
        self._limit = calls_a_minute
        self._tokens = float(calls_a_minute)
        self._filled_at: dt.datetime | None = None
        self._lock = threading.Lock()

    def take(self, now: dt.datetime) -> Allowance:
        """Count one call."""
        a_second = self._limit / _SECONDS_A_MINUTE
        with self._lock:
            if self._filled_at is not None:
                elapsed = max(0.0, (now - self._filled_at).total_seconds())
                self._tokens = min(self._limit, self._tokens + elapsed * a_second)
            self._filled_at = now
            allowed = self._tokens >= 1
            if allowed:
                self._tokens -= 1
            missing = self._limit - self._tokens
            wait = None if allowed else max(1, math.ceil((1 - self._tokens) / a_second))
            return Allowance(self._limit, int(self._tokens), missing / a_second, wait)


def queue_error(tier: Tier) -> ApiError:
    """The 429 for a batch that does not fit into the queue."""
    limit = LIMITS[tier].queued_requests
    text = f"This batch would exceed your organization's limit of {limit} batch requests in the processing queue."
    return ApiError(Problem("rate_limit_error", text), headers={"retry-after": str(_SECONDS_A_MINUTE)})


def spend_limit_error(kind: SpendLimitKind) -> ApiError:
    """The refusal of a call once the spend limit is reached: of a tier not to be tried again, or of the customer."""
    if kind == "tier":
        text = "This request would exceed your organization's monthly spend limit."
        return ApiError(Problem("rate_limit_error", text, {"error_code": "enforced_spend_limit_reached"}))
    text = "You have reached your specified API usage limits. You will regain access when the limits are raised."
    return ApiError(Problem("invalid_request_error", text))
