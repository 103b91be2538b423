"""The deadline is kept: what the clock no longer lets a batch answer is canceled in time and answered synchronously."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.stepped_night import SteppedNight

from backcast.domain.errors import ApiError
from backcast.services.claims import await_claims
from backcast.services.ingest import ingest
from backcast.services.publish import publish
from backcast.services.reconcile import Folders, reconcile
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import plan_round
from backcast.services.waiting import AwaitedBatch, awaited_batch
from backcast_simulator.outcomes import Odds
from backcast_simulator.settings import Settings
from backcast_simulator.weather import WEATHERS

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger

DOCUMENTS = 3


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path, DOCUMENTS, Settings(odds=Odds(weather=WEATHERS["all-expire"])))


def look(night: SteppedNight, batch_id: int) -> AwaitedBatch:
    return awaited_batch(night.ledger, night.api, night.now, batch_id)


def run_of(night: SteppedNight, batch_id: int) -> dict[str, Any]:
    return night.row("runs", run_id=night.row("batches", batch_id=batch_id)["run_id"])


def step_to(night: SteppedNight, moment: dt.datetime) -> None:
    night.simulator.advance((moment - night.now()).total_seconds())


def look_until_ended(night: SteppedNight, batch_id: int) -> None:
    """Look whenever the sensor would, until the batch has ended."""
    while not (awaited := look(night, batch_id)).ended:
        if awaited.api_batch_id and night.api.retrieve(awaited.api_batch_id).ended_at is not None:
            return
        assert awaited.look_at is not None
        step_to(night, awaited.look_at)


def wait_without_listings(night: SteppedNight, batch_id: int) -> None:
    """Wait for a batch in doubt, while nobody can find out what became of it."""
    night.faults({"kind": "error", "endpoint": "list", "status": 500, "times": 10_000})
    ended = False
    while not ended:
        night.simulator.advance(120)
        with suppress(ApiError):
            ended = look(night, batch_id).ended
        assert night.now() < run_of(night, batch_id)["deadline"]


def finish(night: SteppedNight, run_id: int) -> dict[str, Any]:
    """Do what comes after the first round, and return the run as it was published."""
    resubmit_failures(night.ledger, run_id, 2)
    for batch_id in plan_round(night.ledger, night.now, run_id, 2):
        night.submit(batch_id)
        look_until_ended(night, batch_id)
        ingest(night.ledger, night.api, night.now, batch_id)
    night.rescue(run_id)
    publish(night.ledger, night.now, run_id, reports=night.folder / "reports")
    return night.row("runs", run_id=run_id)


def capacity_until(night: SteppedNight, minutes: int) -> list[Any]:
    """Say that everything until then has been given away."""
    free_at = night.now() + dt.timedelta(minutes=minutes)
    return [night.api.base_url, night.api.key_fingerprint, free_at, free_at]


def reasons(night: SteppedNight, run_id: int) -> set[str]:
    with night.ledger.connect() as connection:
        query = "SELECT reason FROM documents WHERE run_id = %s AND outcome = 'unanswered'"
        return {row["reason"].split(":")[0] for row in connection.execute(query, [run_id]).fetchall()}


def test_a_batch_that_never_ends_is_canceled_at_the_cut_off_and_answered_in_time(night: SteppedNight) -> None:
    batch_id = night.planned(sla="23h")
    night.submit(batch_id)
    run = run_of(night, batch_id)

    look_until_ended(night, batch_id)

    canceled = night.row("batches", batch_id=batch_id)
    assert canceled["cut_off_at"] is not None
    # Publish, ingest, settle and margin, and some minutes to answer three documents.
    assert dt.timedelta(minutes=50) < run["deadline"] - canceled["cut_off_at"] < dt.timedelta(minutes=60)
    ingest(night.ledger, night.api, night.now, batch_id)
    done = finish(night, run["run_id"])
    assert (done["answered"], done["unanswered"]) == (DOCUMENTS, 0)
    assert done["published_at"] < done["deadline"]
    # A canceled request costs nothing.
    assert len(night.paid()) == DOCUMENTS
    assert all(charge["kind"] == "synchronous" for charge in night.simulator.bill()["requests"])


def test_a_run_that_is_due_too_soon_for_a_batch_is_answered_synchronously_as_a_whole(night: SteppedNight) -> None:
    run_id = night.collected(sla="1h")
    assert plan_round(night.ledger, night.now, run_id, 1) == []
    done = finish(night, run_id)
    assert done["answered"] == DOCUMENTS
    assert night.calls("POST") == ["/v1/messages"] * DOCUMENTS


def test_what_had_finished_before_the_cut_off_is_paid_at_batch_price_and_only_the_rest_synchronously(
    ledger: Ledger, tmp_path: Path
) -> None:
    night = SteppedNight(ledger, tmp_path, 12, Settings(odds=Odds(seed=3, weather=WEATHERS["worst"])))
    batch_id = night.planned(sla="14h")
    night.submit(batch_id)
    look_until_ended(night, batch_id)
    ingested = ingest(night.ledger, night.api, night.now, batch_id)
    done = finish(night, run_of(night, batch_id)["run_id"])

    assert ingested.succeeded > 0
    assert ingested.canceled > 0
    assert (done["answered"], done["unanswered"]) == (12, 0)
    kinds = [charge["kind"] for charge in night.simulator.bill()["requests"]]
    assert kinds.count("batch") == ingested.succeeded
    assert kinds.count("synchronous") == ingested.canceled
    assert len(set(night.paid())) == 12


def test_a_batch_that_ends_well_is_neither_canceled_nor_answered_synchronously(ledger: Ledger, tmp_path: Path) -> None:
    night = SteppedNight(ledger, tmp_path, DOCUMENTS)
    batch_id = night.planned()
    night.submit(batch_id)
    look_until_ended(night, batch_id)
    ingest(night.ledger, night.api, night.now, batch_id)
    done = finish(night, run_of(night, batch_id)["run_id"])
    assert done["answered"] == DOCUMENTS
    assert night.row("batches", batch_id=batch_id)["cut_off_at"] is None
    assert night.calls("POST") == ["/v1/messages/batches"]


def test_a_batch_that_could_not_be_canceled_is_canceled_at_the_next_look(night: SteppedNight) -> None:
    batch_id = night.planned(sla="23h")
    night.submit(batch_id)
    look_at = look(night, batch_id).look_at
    while night.row("batches", batch_id=batch_id)["cut_off_at"] is None:
        assert look_at is not None
        step_to(night, look_at)
        night.faults({"kind": "error", "endpoint": "cancel", "status": 500, "times": 1})
        look_at = look(night, batch_id).look_at
    assert night.api.retrieve(night.row("batches", batch_id=batch_id)["api_batch_id"]).status == "in_progress"
    look_until_ended(night, batch_id)
    ingest(night.ledger, night.api, night.now, batch_id)
    assert finish(night, run_of(night, batch_id)["run_id"])["answered"] == DOCUMENTS


@pytest.mark.parametrize(
    ("when_unresolved", "answered", "paid"), [("leave", 0, DOCUMENTS), ("pay_again", DOCUMENTS, 2 * DOCUMENTS)]
)
def test_what_is_in_doubt_at_the_end_is_left_or_paid_again_as_the_workflow_says(
    ledger: Ledger, tmp_path: Path, when_unresolved: str, answered: int, paid: int
) -> None:
    night = SteppedNight(ledger, tmp_path, DOCUMENTS)
    batch_id = night.planned(sla="2h")
    run = run_of(night, batch_id)
    with night.ledger.connect() as connection:
        connection.execute(
            "UPDATE runs SET rescue = rescue || jsonb_build_object('when_unresolved', %s::text)", [when_unresolved]
        )
    night.lose(batch_id)
    wait_without_listings(night, batch_id)
    ingest(night.ledger, night.api, night.now, batch_id)
    done = finish(night, run["run_id"])
    assert done["answered"] == answered
    assert done["published_at"] <= done["deadline"]
    assert reasons(night, run["run_id"]) == (set() if answered else {"unresolved"})
    assert night.row("alerts", kind="unresolved")["run_id"] == run["run_id"]
    night.simulator.advance(4 * 3600)
    assert len(night.paid()) == paid


def test_a_late_answer_is_kept_for_the_next_run_which_does_not_pay_again(ledger: Ledger, tmp_path: Path) -> None:
    night = SteppedNight(ledger, tmp_path, DOCUMENTS)
    batch_id = night.planned(sla="2h")
    night.lose(batch_id)
    wait_without_listings(night, batch_id)
    run_id = run_of(night, batch_id)["run_id"]
    finish(night, run_id)
    # While nobody knows what became of it, the next run waits for it rather than pay again.
    second = night.collected("dag/2")
    assert plan_round(night.ledger, night.now, second, 1) == []
    night.faults()
    night.simulator.advance(4 * 3600)
    reconcile(night.ledger, night.api, night.now, Folders(night.folder, night.folder, night.pause))
    reconcile(night.ledger, night.api, night.now, Folders(night.folder, night.folder, night.pause))
    assert await_claims(night.ledger, night.now, second) == {}
    assert finish(night, second)["reused"] == DOCUMENTS
    assert len(night.paid()) == DOCUMENTS


def test_what_does_not_fit_before_the_deadline_is_left_with_its_reason_and_asked_for_by_the_next_run(
    night: SteppedNight,
) -> None:
    run_id = night.collected(sla="1h")
    with night.ledger.connect() as connection:
        connection.execute("UPDATE runs SET rescue = '{\"requests_per_minute\": 0.05}'")
        connection.execute("UPDATE documents SET priority = 1 WHERE path <> 'module2.py'")
    plan_round(night.ledger, night.now, run_id, 1)
    # A call every 20 minutes, and the last one 7 minutes before the hour is over: two of them, the more urgent first.
    with night.ledger.connect() as connection:
        connection.execute(
            "INSERT INTO synchronous_capacity VALUES (%s, %s, %s, %s)", capacity_until(night, minutes=15)
        )
    done = finish(night, run_id)
    assert (done["answered"], done["unanswered"]) == (2, 1)
    assert done["published_at"] <= done["deadline"]
    assert night.row("documents", path="module2.py")["outcome"] == "answered"
    assert reasons(night, run_id) == {"no time"}
    assert "the next run asks for them again".lower() in night.row("alerts", kind="unanswered")["message"].lower()
    second = night.collected("dag/2")
    assert len(plan_round(night.ledger, night.now, second, 1)) == 1
    assert night.row("runs", run_id=second)["estimated_requests"] == 1
