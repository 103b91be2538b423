"""The deadline is kept: what the clock no longer lets a batch answer is canceled in time and answered synchronously."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.stepped_night import SteppedNight

from backcast.domain.errors import ApiError, InDoubtError
from backcast.ledger.connection import sql
from backcast.services.cancel import cancel_batch
from backcast.services.claims import await_claims
from backcast.services.ingest import ingest
from backcast.services.locks import tried_rescue
from backcast.services.publish import publish
from backcast.services.reconcile import Folders, reconcile
from backcast.services.rescue import rescue
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import plan_round
from backcast.services.waiting import AwaitedBatch, awaited_batch
from backcast_simulator.outcomes import Odds
from backcast_simulator.settings import Settings
from backcast_simulator.weather import WEATHERS, Weather

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


def set_rescue(night: SteppedNight, **terms: Any) -> None:
    with night.ledger.connect() as connection:
        connection.execute("UPDATE runs SET rescue = rescue || %s::jsonb", [json.dumps(terms)])


def large_run(
    ledger: Ledger, folder: Path, weather: Weather, per_minute: float = 1 / 30, **terms: Any
) -> tuple[SteppedNight, int, list[int]]:
    """Return a run of 12 documents, due in 14 hours, and its batches."""
    night = SteppedNight(ledger, folder, 12, Settings(odds=Odds(weather=weather)))
    run_id = night.collected(sla="14h")
    set_rescue(night, requests_per_minute=per_minute, **terms)
    return night, run_id, plan_round(night.ledger, night.now, run_id, 1)


def answer_while_waiting(night: SteppedNight, run_id: int, batches: list[int]) -> None:
    """Do what the tasks behind each batch do, which go on beside each other, and publish what none is awaited of."""
    waiting = set(batches)

    async def pause(seconds: float) -> None:
        for _ in range(int(seconds // 300) + 1):
            night.simulator.advance(min(seconds, 300))
            seconds -= min(seconds, 300)
            if waiting:
                look(night, min(waiting))
            for _ in range(50):
                await asyncio.sleep(0)

    while waiting:
        look(night, min(waiting))
        for batch_id in sorted(waiting):
            if night.api.retrieve(night.row("batches", batch_id=batch_id)["api_batch_id"]).ended_at is not None:
                waiting.discard(batch_id)
                ingest(night.ledger, night.api, night.now, batch_id)
                rescue(night.ledger, night.api, night.now, run_id, final=False, pause=pause)
        night.simulator.advance(300)
    rescue(night.ledger, night.api, night.now, run_id, final=True, pause=pause)
    with suppress(InDoubtError):
        publish(night.ledger, night.now, run_id, reports=night.folder / "reports")


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
    night = SteppedNight(ledger, tmp_path, 30, Settings(odds=Odds(seed=3, weather=WEATHERS["worst"])))
    batch_id = night.planned(sla="14h")
    night.submit(batch_id)
    look_until_ended(night, batch_id)
    ingested = ingest(night.ledger, night.api, night.now, batch_id)
    done = finish(night, run_of(night, batch_id)["run_id"])

    assert ingested.succeeded > 0
    assert ingested.canceled > 0
    assert (done["answered"], done["unanswered"]) == (30, 0)
    kinds = [charge["kind"] for charge in night.simulator.bill()["requests"]]
    assert kinds.count("batch") == ingested.succeeded
    assert kinds.count("synchronous") == ingested.canceled
    assert len(set(night.paid())) == 30


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
    set_rescue(night, when_unresolved=when_unresolved)
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


def test_a_run_too_large_to_be_answered_at_once_is_canceled_batch_by_batch_and_answered_all_the_while(
    ledger: Ledger, tmp_path: Path
) -> None:
    """12 documents at one in half an hour: six hours of the fourteen."""
    night, run_id, batches = large_run(ledger, tmp_path, WEATHERS["all-expire"])
    for batch_id in batches:
        night.submit(batch_id)
    answer_while_waiting(night, run_id, batches)
    run = night.row("runs", run_id=run_id)
    assert (run["answered"], run["unanswered"]) == (12, 0)
    assert run["published_at"] <= run["deadline"]


def test_what_is_in_doubt_does_not_keep_the_other_batches_from_being_canceled(ledger: Ledger, tmp_path: Path) -> None:
    night, run_id, batches = large_run(ledger, tmp_path, WEATHERS["all-expire"])
    for batch_id in batches[:-1]:
        night.submit(batch_id)
    night.lose(batches[-1])
    night.faults({"kind": "error", "endpoint": "list", "status": 500, "times": 10_000})
    in_doubt = night.row("batches", batch_id=batches[-1])["request_count"]
    answer_while_waiting(night, run_id, batches[:-1])
    step_to(night, run_of(night, batches[0])["deadline"] - dt.timedelta(minutes=5))
    with suppress(ApiError):
        look(night, batches[-1])
    night.rescue(run_id)
    publish(night.ledger, night.now, run_id, reports=night.folder / "reports")
    run = night.row("runs", run_id=run_id)
    assert (run["answered"], run["unanswered"]) == (12 - in_doubt, in_doubt)


def test_paying_again_never_gives_up_a_batch_that_was_not_canceled(ledger: Ledger, tmp_path: Path) -> None:
    night, _, batches = large_run(ledger, tmp_path, WEATHERS["busy"], per_minute=1 / 120, when_unresolved="pay_again")
    for batch_id in batches:
        night.submit(batch_id)
    while all(night.row("batches", batch_id=batch_id)["cut_off_at"] is None for batch_id in batches):
        step_to(night, look(night, batches[0]).look_at or night.now())
    assert {night.row("batches", batch_id=batch_id)["state"] for batch_id in batches} == {"submitted"}


def test_a_batch_given_up_at_the_deadline_is_read_when_it_has_ended_and_reported_as_paid_twice(
    ledger: Ledger, tmp_path: Path
) -> None:
    # Long after the report is due.
    late = Weather(median_hours=4, sigma=0.1)
    night = SteppedNight(ledger, tmp_path, DOCUMENTS, Settings(odds=Odds(weather=late)))
    batch_id = night.planned(sla="100m")
    run_id = run_of(night, batch_id)["run_id"]
    set_rescue(night, when_unresolved="pay_again")
    night.submit(batch_id)
    night.faults({"kind": "error", "endpoint": "cancel", "status": 500, "times": 10_000})
    while not look(night, batch_id).ended:
        night.simulator.advance(120)
    assert night.row("batches", batch_id=batch_id)["state"] == "given_up"
    assert finish(night, run_id)["answered"] == DOCUMENTS
    night.faults()
    night.simulator.advance(8 * 3600)
    done = reconcile(night.ledger, night.api, night.now, Folders(night.folder, night.folder, night.pause))
    assert [found.what for found in done.doubts] == ["second"]
    assert done.problems == []
    with night.ledger.connect() as connection:
        committed = connection.execute(sql("committed_money"), {"run_id": run_id}).fetchone() or {}
        spare = connection.execute("SELECT sum(cost_usd) AS usd FROM spare_results").fetchone() or {}
    paid = sum(charge["cost_usd"] for charge in night.simulator.bill()["requests"])
    # What the given-up batch may have cost is still held against the budget.
    assert float(committed["run_usd"]) >= paid
    assert 0 < spare["usd"] < paid


def test_a_batch_found_after_its_requests_were_answered_synchronously_is_reported_and_stops_nothing(
    ledger: Ledger, tmp_path: Path
) -> None:
    night = SteppedNight(ledger, tmp_path, DOCUMENTS)
    batch_id = night.planned(sla="2h")
    night.lose(batch_id)
    with night.ledger.connect() as connection:
        # As three listings that lag for longer than their bound would conclude.
        connection.execute("UPDATE batches SET state = 'not_arrived', note = 'it never arrived'")
    run_id = run_of(night, batch_id)["run_id"]
    night.simulator.advance(3600)
    assert finish(night, run_id)["answered"] == DOCUMENTS
    night.simulator.advance(4 * 3600)
    done = reconcile(night.ledger, night.api, night.now, Folders(night.folder, night.folder, night.pause))
    assert ([found.what for found in done.doubts], done.problems) == (["second"], [])
    assert night.row("alerts", kind="paid_twice")["run_id"] == run_id


def test_a_batch_that_somebody_canceled_is_not_answered_synchronously(night: SteppedNight) -> None:
    batch_id = night.planned(sla="2h")
    night.submit(batch_id)
    run_id = run_of(night, batch_id)["run_id"]
    step_to(night, night.cancel_at(batch_id))
    cancel_batch(night.ledger, night.api, night.now, night.row("batches", batch_id=batch_id)["api_batch_id"])
    look(night, batch_id)
    night.simulator.advance(600)
    ingest(night.ledger, night.api, night.now, batch_id)
    night.rescue(run_id)
    assert night.paid() == []


def test_what_ended_and_was_not_read_in_time_is_not_paid_again_a_day_later(ledger: Ledger, tmp_path: Path) -> None:
    night = SteppedNight(ledger, tmp_path, DOCUMENTS, Settings(odds=Odds(weather=WEATHERS["busy"])))
    batch_id = night.planned(sla="2h")
    night.submit(batch_id)
    night.faults({"kind": "error", "endpoint": "cancel", "status": 500, "times": 10_000})
    while not look(night, batch_id).ended:
        night.simulator.advance(120)
    ingest(night.ledger, night.api, night.now, batch_id)
    finish(night, run_of(night, batch_id)["run_id"])
    night.faults()
    night.simulator.advance(25 * 3600)
    # Nobody has looked meanwhile.
    second = night.collected("dag/2")
    assert plan_round(night.ledger, night.now, second, 1) == []
    reconcile(night.ledger, night.api, night.now, Folders(night.folder, night.folder, night.pause))
    assert await_claims(night.ledger, night.now, second) == {}
    assert finish(night, second)["reused"] == DOCUMENTS
    assert len(night.paid()) == DOCUMENTS


def test_a_last_rescue_waits_for_another_and_nothing_is_published_undecided(night: SteppedNight) -> None:
    batch_id = night.planned()
    night.submit(batch_id)
    night.simulator.advance(86_460)
    ingest(night.ledger, night.api, night.now, batch_id)
    run_id = run_of(night, batch_id)["run_id"]
    until = night.now() + dt.timedelta(minutes=2)
    with night.ledger.connect() as connection, tried_rescue(connection, run_id):
        assert night.rescue(run_id, stop_at=until).undecided == DOCUMENTS
    night.rescue(run_id)
    publish(night.ledger, night.now, run_id, reports=night.folder / "reports")
    assert night.row("runs", run_id=run_id)["answered"] == DOCUMENTS


def test_what_has_ended_is_never_paid_again_before_it_was_read(ledger: Ledger, tmp_path: Path) -> None:
    quick = Weather(median_hours=0.9, sigma=0.01)
    night = SteppedNight(ledger, tmp_path, DOCUMENTS, Settings(odds=Odds(weather=quick)))
    batch_id = night.planned(sla="100m")
    set_rescue(night, when_unresolved="pay_again")
    night.submit(batch_id)
    night.faults({"kind": "error", "endpoint": "cancel", "status": 500, "times": 10_000})
    step_to(night, run_of(night, batch_id)["deadline"] - dt.timedelta(minutes=20))
    look(night, batch_id)
    assert night.row("batches", batch_id=batch_id)["cut_off_at"] is not None
    assert night.row("batches", batch_id=batch_id)["state"] == "submitted"
    ingest(night.ledger, night.api, night.now, batch_id)
    assert finish(night, run_of(night, batch_id)["run_id"])["answered"] == DOCUMENTS
    assert len(night.paid()) == DOCUMENTS
