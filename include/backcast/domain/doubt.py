"""When a listed batch may be what became of an intent in doubt, and when an intent is proved not to have arrived.

Only a result row proves whose a batch is. Counts only exclude, and only when they were seen twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

# How long a listing may lag behind a create. What arrives later than that is found only while it is watched for.
LAG_BOUND: Final = timedelta(minutes=15)
# A batch's own 24 hours and an hour for clocks and lag: no later listing can show a batch of the intent for the first
# time and still deliver it.
WATCHED_FOR: Final = timedelta(hours=25)
# The server's clock is read in whole seconds, and another of its machines may answer.
CLOCK_SLACK: Final = timedelta(minutes=1)
LISTINGS_THAT_PROVE_ABSENCE: Final = 3
LISTING_SPACING: Final = timedelta(minutes=1)
_TIMES_SEEN_TO_EXCLUDE: Final = 2


@dataclass(frozen=True, slots=True)
class Intent:
    """A create call that began after `server_time` by the server's clock, and was over at `over_at` by ours.

    `longest` is how much time it can have taken, from the one to the other.
    """

    batch_id: int
    request_count: int
    server_time: datetime
    over_at: datetime
    longest: timedelta


@dataclass(frozen=True, slots=True)
class Sighting:
    """A batch that listings showed `times_seen` times with this count; a count of 0 says nothing."""

    api_batch_id: str
    created_at: datetime
    request_count: int
    times_seen: int
    ended: bool


def may_be(sighting: Sighting, intent: Intent) -> bool:
    """Whether a batch may be what became of an intent, however late it arrived."""
    if sighting.created_at < intent.server_time - CLOCK_SLACK:
        return False
    excluded = sighting.request_count > 0 and sighting.times_seen >= _TIMES_SEEN_TO_EXCLUDE
    return not excluded or sighting.request_count == intent.request_count


def is_candidate(sighting: Sighting, intent: Intent) -> bool:
    """Whether a batch may be what became of an intent whose call ended when it had to; absence is proved without it."""
    return may_be(sighting, intent) and sighting.created_at <= intent.server_time + intent.longest + LAG_BOUND


def listing_counts(intent: Intent, now: datetime, last_empty_listing_at: datetime | None) -> bool:
    """Whether a complete listing made now, without a candidate, is one of those that prove absence."""
    if now < intent.over_at + LAG_BOUND:
        return False
    return last_empty_listing_at is None or now - last_empty_listing_at >= LISTING_SPACING
