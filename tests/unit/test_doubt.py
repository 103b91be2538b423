"""What may have become of a create call without a known end is decided by times and counts, and proved by neither."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from backcast.domain.doubt import CLOCK_SLACK, LAG_BOUND, Intent, Sighting, is_candidate, listing_counts, may_be
from backcast.domain.wire_ids import nonce_of

SENT = datetime(2026, 11, 24, 22, tzinfo=UTC)
OVER = SENT + timedelta(minutes=12)
INTENT = Intent(1, request_count=7, server_time=SENT, over_at=OVER, longest=OVER - SENT)


def seen(created_at: datetime = SENT, count: int = 7, times: int = 2) -> Sighting:
    return Sighting("msgbatch_1", created_at, count, times, ended=False)


@pytest.mark.parametrize(
    ("sighting", "may"),
    [
        (seen(), True),
        (seen(count=8), False),
        (seen(count=8, times=1), True),
        (seen(count=0, times=9), True),
        (seen(SENT - CLOCK_SLACK), True),
        (seen(SENT - CLOCK_SLACK - timedelta(seconds=1)), False),
        (seen(OVER + timedelta(hours=20)), True),
    ],
)
def test_a_batch_is_excluded_by_its_time_or_by_a_count_seen_twice(sighting: Sighting, may: bool) -> None:
    assert may_be(sighting, INTENT) is may


def test_a_batch_that_came_after_the_call_was_over_does_not_stand_against_its_absence() -> None:
    assert is_candidate(seen(OVER + LAG_BOUND), INTENT)
    assert not is_candidate(seen(OVER + LAG_BOUND + timedelta(seconds=1)), INTENT)
    assert not is_candidate(seen(count=8), INTENT)


def test_listings_prove_absence_only_after_the_lag_and_a_minute_apart() -> None:
    due = OVER + LAG_BOUND
    assert not listing_counts(INTENT, due - timedelta(seconds=1), None)
    assert listing_counts(INTENT, due, None)
    assert not listing_counts(INTENT, due + timedelta(seconds=59), due)
    assert listing_counts(INTENT, due + timedelta(seconds=60), due)


@pytest.mark.parametrize(
    ("wire_id", "nonce"),
    [
        ("nightly-tech-debt-9f2c41d0-r1-0123456789-17", "0123456789"),
        ("9f2c41d0-r1-0123456789-17", None),
        ("stranger-7", None),
        ("a-9f2c41d0-r1-012345678-17", None),
        ("", None),
    ],
)
def test_a_nonce_is_read_from_our_own_ids_only(wire_id: str, nonce: str | None) -> None:
    assert nonce_of(wire_id) == nonce
