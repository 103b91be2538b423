"""A small batch that goes first shows whether the configuration is right, before the rest is sent and paid for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

SIZE: Final = 50
WRONG_SHARE: Final = 0.2
# Most batches have ended by then.
LONGEST_WAIT: Final = timedelta(hours=1)


def held_until(now: datetime, rebatch_until: datetime, requests: int) -> datetime | None:
    """Return until when all but the first 50 requests of a run wait for these; None when they need not, or cannot.

    Waiting must not cost a batch its whole window, and what is left must be worth it.

    Args:
        now: the time in UTC.
        rebatch_until: until when a batch is certain to suffice.
        requests: how many are to be sent.
    """
    until = min(now + LONGEST_WAIT, rebatch_until)
    return until if requests >= 2 * SIZE and until > now else None


def is_wrong(our_fault: int, read: int) -> bool:
    """Whether a first batch shows that the configuration is wrong: a fifth of its requests could never succeed."""
    return our_fault > 0 and our_fault >= WRONG_SHARE * read
