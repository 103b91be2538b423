"""A small first batch shows whether the configuration is right, before the rest is sent and paid for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.stepped_night import SteppedNight

from backcast.domain.errors import HeldError, WaitsError
from backcast.services.cancel import resubmit_run
from backcast.services.ingest import ingest
from backcast.services.rounds import plan_round
from backcast_simulator.rules import parse_rules

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger

DOCUMENTS = 120
WRONG = "system.0.cache_control.ttl: Input should be '5m' or '1h'"
BATCH_SECONDS = 4 * 3600.0


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path, DOCUMENTS)


def wrong(night: SteppedNight, documents: int) -> None:
    """Let so many of the first 50 documents be asked about as no request may be."""
    paths = sorted(f"module{number}.py" for number in range(DOCUMENTS))[:documents]
    outcome = {"outcome": "invalid_request", "message": WRONG}
    night.simulator.set_rules(parse_rules([{"match": f'path="{path}"', **outcome} for path in paths]))


def read_first(night: SteppedNight, run_id: int) -> tuple[int, int]:
    """Plan both batches, go through the first one, and return both."""
    first, rest = plan_round(night.ledger, night.now, run_id, 1)
    night.submit(first)
    with pytest.raises(WaitsError, match=r"waits until 23:00 UTC for the first 50 requests of run 1"):
        night.submit(rest)
    night.simulator.advance(BATCH_SECONDS)
    ingest(night.ledger, night.api, night.now, first)
    return first, rest


def test_the_rest_of_a_run_goes_when_the_first_fifty_requests_were_read(night: SteppedNight) -> None:
    run_id = night.collected(sla="72h")
    wrong(night, 9)
    first, rest = read_first(night, run_id)
    sizes = [night.row("batches", batch_id=batch_id)["request_count"] for batch_id in (first, rest)]
    assert sizes == [50, DOCUMENTS - 50]
    night.submit(rest)
    assert night.row("batches", batch_id=rest)["state"] == "submitted"


def test_a_wrong_configuration_stops_the_rest_before_it_is_paid_for(night: SteppedNight) -> None:
    run_id = night.collected(sla="72h")
    wrong(night, 10)
    first, rest = read_first(night, run_id)
    for _ in range(2):
        with pytest.raises(HeldError, match=r"10 of its first 50 requests were wrong as they are.*cache_control\.ttl"):
            night.submit(rest)
    assert night.row("batches", batch_id=rest)["state"] == "planned"
    assert len(night.paid()) == 50 - 10
    alert = night.row("alerts", kind="wrong_configuration")
    assert f"`backcast resubmit {run_id}` sends the rest as it is" in alert["message"]
    assert alert["run_id"] == run_id

    # Somebody has decided that the rest is worth it: it is not held for this again.
    resubmit_run(night.ledger, night.now, run_id, again=False)
    night.submit(rest)
    assert night.row("batches", batch_id=rest)["state"] == "submitted"
    assert night.row("batches", batch_id=first)["state"] == "ingested"


def test_the_rest_does_not_wait_for_longer_than_an_hour(night: SteppedNight) -> None:
    run_id = night.collected(sla="72h")
    night.simulator.set_rules(parse_rules([{"outcome": "expired"}]))
    first, rest = plan_round(night.ledger, night.now, run_id, 1)
    night.submit(first)
    night.simulator.advance(3599)
    with pytest.raises(WaitsError):
        night.submit(rest)
    night.simulator.advance(1)
    night.submit(rest)
    assert night.row("batches", batch_id=rest)["state"] == "submitted"


def test_it_waits_only_as_long_as_a_batch_still_has_its_whole_window(night: SteppedNight) -> None:
    run_id = night.collected(sla="30h")
    night.simulator.advance(timedelta(hours=4, minutes=30).total_seconds())
    _, rest = plan_round(night.ledger, night.now, run_id, 1)
    held = night.row("batches", batch_id=rest)["held_until"] - night.now()
    assert timedelta(minutes=10) < held < timedelta(minutes=50)


def test_no_run_waits_that_has_no_time_to_lose(night: SteppedNight) -> None:
    run_id = night.collected(sla="30h")
    night.simulator.advance(timedelta(hours=5, minutes=30).total_seconds())
    assert len(plan_round(night.ledger, night.now, run_id, 1)) == 1


def test_a_small_run_is_sent_at_once(ledger: Ledger, tmp_path: Path) -> None:
    night = SteppedNight(ledger, tmp_path, 99)
    assert len(plan_round(ledger, night.now, night.collected(sla="72h"), 1)) == 1
