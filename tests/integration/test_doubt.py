"""What became of a create call without a known end is found out by listings and proved by a result row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest
from tests.stepped_night import DAY, SteppedNight
from tests.support import commit

from backcast.anthropic_api.batches import MessageBatchesApi
from backcast.domain.doubt import LAG_BOUND
from backcast.domain.errors import ApiError, HeldError, InDoubtError
from backcast.services.cancel import cancel_run, resubmit_run
from backcast.services.fault_points import FaultPoint, listen
from backcast.services.ingest import ingest
from backcast.services.publish import publish
from backcast.services.reconcile import Folders, reconcile
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import plan_round
from backcast.services.submit import CREATE_TIMEOUT, SEND_WITHIN
from backcast.services.waiting import AwaitedBatch, awaited_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backcast.ledger.connection import Ledger

PROVED_ABSENT = (SEND_WITHIN + CREATE_TIMEOUT + LAG_BOUND).total_seconds()


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path)


def test_an_accepted_batch_whose_answer_was_lost_is_found_by_its_nonce_when_it_has_ended(night: SteppedNight) -> None:
    batch_id = night.planned()
    night.lose(batch_id)
    assert night.look() == ["watched"]
    night.simulator.advance(DAY)

    assert night.look() == ["found"]

    found = night.row("batches", batch_id=batch_id)
    assert (found["state"], found["api_batch_id"]) == ("submitted", night.simulator._own_batches()[0].id)
    assert ingest(night.ledger, night.api, night.now, batch_id).succeeded == 3
    assert len(set(night.paid())) == len(night.paid()) == 3


@pytest.mark.parametrize(
    "fault",
    [
        {"when": "before"},
        {"kind": "error", "when": None, "status": 500},
        {"kind": "error", "when": None, "status": 529},
        {"kind": "error", "when": None, "status": 408},
        {"kind": "error", "when": None, "status": 409},
        {"kind": "html", "when": None, "status": 502},
        {"kind": "redirect", "when": None},
    ],
)
def test_what_never_arrived_is_sent_again_once_and_not_before_that_is_proved(
    night: SteppedNight, fault: dict[str, Any]
) -> None:
    batch_id = night.planned()
    wanted = {name: value for name, value in ({"kind": "drop"} | fault).items() if value is not None}
    night.faults(wanted)
    with pytest.raises(InDoubtError):
        night.submit(batch_id)
    for _ in range(5):
        assert night.look() == ["watched"]
    night.simulator.advance(PROVED_ABSENT)
    # Three looks in one moment are one.
    assert [night.look() for _ in range(3)] == [["watched"]] * 3
    night.simulator.advance(60)
    assert night.look() == ["watched"]
    assert night.row("batches", batch_id=batch_id)["state"] == "in_doubt"
    night.simulator.advance(60)

    again = awaited_batch(night.ledger, night.api, night.now, batch_id)

    assert again.batch_id != batch_id
    assert again.api_batch_id
    night.simulator.advance(DAY)
    assert len(night.paid()) == 3


def test_a_create_whose_host_cannot_be_resolved_is_in_doubt_as_any_other_without_an_answer(night: SteppedNight) -> None:
    async def connect() -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(api_key="k", base_url="http://backcast.invalid", max_retries=0)

    batch_id = night.planned()
    with pytest.raises(InDoubtError, match="not sent again"):
        night.submit(batch_id, MessageBatchesApi(night.api._client, connect))
    assert night.row("batches", batch_id=batch_id)["state"] == "in_doubt"
    assert night.look() == ["watched"]


def test_a_batch_that_the_list_shows_late_is_not_sent_again(night: SteppedNight) -> None:
    batch_id = night.planned()
    night.faults({"kind": "list_lag", "seconds": LAG_BOUND.total_seconds()}, {"kind": "drop", "when": "after"})
    with pytest.raises(InDoubtError):
        night.submit(batch_id)
    looks = []
    for pause in [60.0] * 40 + [DAY]:
        looks += night.look()
        night.simulator.advance(pause)
    looks += night.look()
    assert [what for what in looks if what != "watched"] == ["found"]


def test_among_strangers_of_the_same_and_nearly_the_same_size_ours_is_found_and_no_other_is_touched(
    night: SteppedNight,
) -> None:
    batch_id = night.planned()
    for size in (2, 3, 4):
        night.simulator.add_strangers(size, 2, "w")
    night.lose(batch_id)
    for size in (2, 3, 4):
        night.simulator.add_strangers(size, 2, "w")
    assert night.look() == ["watched"]
    night.simulator.advance(DAY)

    assert night.look() == ["found"]

    assert night.row("batches", batch_id=batch_id)["api_batch_id"] == night.simulator._own_batches()[0].id
    assert night.row("sightings", verdict="stranger")
    assert not night.calls("DELETE")
    assert {path for path in night.calls("POST") if path.endswith("cancel")} == set()


def test_two_intents_in_doubt_of_the_same_size_under_two_keys_are_each_found(night: SteppedNight) -> None:
    other = night.api_with("l")
    first = night.planned("dag/1")
    night.lose(first)
    (night.repository / "module0.py").write_text("VALUE = 'another'\n")
    commit(night.repository, "second")
    second = night.planned("dag/2", other)
    with night.ledger.connect() as connection:
        # Planned under the first key's address, it was made of two unequal batches; one of them is enough here.
        sizes = connection.execute("SELECT request_count FROM batches ORDER BY batch_id").fetchall()
    assert [row["request_count"] for row in sizes] == [3, 2, 1]
    night.lose(second, other)
    night.simulator.advance(DAY)

    assert set(night.look()) == set(night.look(other)) | {"found"}

    found = {row: night.row("batches", batch_id=row)["api_batch_id"] for row in (first, second)}
    assert None not in found.values()
    assert len(set(found.values())) == 2


def test_of_two_batches_of_one_size_the_second_waits_until_the_first_has_a_known_end(night: SteppedNight) -> None:
    first, second = night.planned("dag/1"), night.planned("dag/2")
    night.lose(first)
    with pytest.raises(ApiError, match=r"waits: another batch of 3 requests has no known end"):
        night.submit(second)
    assert len(night.simulator._own_batches()) == 1
    night.simulator.advance(DAY)
    night.look()
    assert night.submit(second) == second


@pytest.mark.parametrize("why", ["list fails", "another address", "another key", "a known batch is not listed"])
def test_what_proves_nothing_leaves_an_intent_in_doubt(night: SteppedNight, why: str) -> None:
    api = night.api
    if why == "a known batch is not listed":
        older = night.submit(night.planned("dag/0"))
        night.simulator.advance(DAY)
        night.simulator.delete(night.row("batches", batch_id=older)["api_batch_id"], "w")
        night.simulator.advance(DAY)
    batch_id = night.planned("dag/1")
    night.lose(batch_id, when="before")
    if why == "another address":
        api = night.api_with("k", "http://elsewhere")
    if why == "another key":
        api = night.api_with("l")
    for _ in range(5):
        night.simulator.advance(PROVED_ABSENT)
        if why == "list fails":
            night.faults({"kind": "error", "endpoint": "list", "status": 500})
            with pytest.raises(ApiError):
                night.look()
        else:
            assert "not_arrived" not in night.look(api)
    assert night.row("batches", batch_id=batch_id)["state"] == "in_doubt"


def test_the_second_batch_that_a_proxy_made_is_kept_and_reported(night: SteppedNight, tmp_path: Path) -> None:
    batch_id = night.planned()
    night.faults({"kind": "repeat"})
    night.submit(batch_id)
    night.look()
    night.simulator.advance(DAY)

    done = reconcile(night.ledger, night.api, night.now, Folders(tmp_path, tmp_path))

    assert [found.what for found in done.doubts] == ["second"]
    second = night.row("sightings", verdict="second")
    assert (second["batch_id"], second["row_count"]) == (batch_id, 3)
    assert second["cost_usd"] > 0
    assert "paid twice" in night.row("alerts", kind="paid_twice")["message"]


def test_whoever_looks_while_another_does_finds_nothing_to_do(night: SteppedNight) -> None:
    night.lose(night.planned())
    with night.ledger.connect() as connection:
        connection.execute(
            "SELECT pg_advisory_lock(hashtext('backcast workspace'), hashtext(%s))",
            [f"{night.api.base_url} {night.api.key_fingerprint}"],
        )
        assert night.look() == []
        # At once, since the server notices a closed connection only a moment later.
        connection.execute("SELECT pg_advisory_unlock_all()")
    assert night.look() == ["watched"]


def minutes(night: SteppedNight, count: int) -> list[str]:
    """What one look a minute says, for so many minutes; only of intents in doubt, and of what was found out."""
    said = []
    for _ in range(count):
        said += night.look()
        night.simulator.advance(60)
    return said


def wait_for(night: SteppedNight, batch_id: int, looks: int = 60) -> AwaitedBatch:
    """Do what the task that waits does: once a minute, until it is known what to wait for."""
    for _ in range(looks):
        awaited = awaited_batch(night.ledger, night.api, night.now, batch_id)
        if awaited.api_batch_id:
            return awaited
        night.simulator.advance(60)
    raise AssertionError(f"after {looks} minutes, {awaited.doubt}")


def reads_of_results(night: SteppedNight) -> set[str]:
    return {path.split("/")[-2] for path in night.calls("GET") if path.endswith("/results")}


def creates(night: SteppedNight) -> int:
    return sum(path.endswith("/batches") for path in night.calls("POST"))


@pytest.fixture
def at() -> Iterator[Callable[[FaultPoint, Callable[[], Any]], None]]:
    """Do something when a fault point is reached for the first time."""

    def strike(wanted: FaultPoint, do: Callable[[], Any]) -> None:
        def listener(point: FaultPoint) -> None:
            if point == wanted:
                listen(None)
                do()

        listen(listener)

    yield strike
    listen(None)


def die() -> None:
    raise KeyboardInterrupt


def test_a_found_batch_is_ingested_and_published_with_each_document_once(night: SteppedNight, tmp_path: Path) -> None:
    batch_id = night.planned()
    night.lose(batch_id)
    night.simulator.advance(DAY)
    awaited = awaited_batch(night.ledger, night.api, night.now, batch_id)
    assert awaited.api_batch_id == night.simulator._own_batches()[0].id

    ingest(night.ledger, night.api, night.now, batch_id)
    run_id = night.row("batches", batch_id=batch_id)["run_id"]
    assert publish(night.ledger, night.now, run_id, reports=tmp_path / "reports").report

    assert night.row("runs", run_id=run_id)["answered"] == 3
    assert len(set(night.paid())) == len(night.paid()) == 3
    assert creates(night) == 1


def test_absence_is_proved_by_three_listings_a_minute_apart_and_none_before_the_bound_counts(
    night: SteppedNight,
) -> None:
    batch_id = night.planned()
    night.lose(batch_id, when="before")
    assert set(minutes(night, round(PROVED_ABSENT / 60))) == {"watched"}
    night.simulator.advance(-1)
    assert night.look() == ["watched"]
    assert night.row("batches", batch_id=batch_id)["empty_listings"] == 0
    for pause, counted in [(1, 1), (59, 1), (1, 2), (59, 2)]:
        night.simulator.advance(pause)
        assert night.look() == ["watched"]
        assert night.row("batches", batch_id=batch_id)["empty_listings"] == counted
    night.simulator.advance(1)

    assert night.look() == ["not_arrived"]

    assert night.row("batches", batch_id=batch_id)["state"] == "not_arrived"
    assert night.look() == []


def test_what_never_arrived_is_sent_again_under_a_new_nonce_and_only_that_is_paid(night: SteppedNight) -> None:
    batch_id = night.planned()
    night.lose(batch_id, when="before")
    awaited = wait_for(night, batch_id)
    first, second = night.row("batches", batch_id=batch_id), night.row("batches", batch_id=awaited.batch_id)
    assert (first["state"], second["state"], second["replaces"]) == ("not_arrived", "submitted", batch_id)
    assert first["nonce"] != second["nonce"]
    night.simulator.advance(DAY)
    assert ingest(night.ledger, night.api, night.now, awaited.batch_id).succeeded == 3
    assert {charge["custom_id"].split("-")[-2] for charge in night.simulator.bill()["requests"]} == {second["nonce"]}
    assert len(night.paid()) == 3
    assert awaited_batch(night.ledger, night.api, night.now, batch_id).batch_id == awaited.batch_id
    assert creates(night) == 2


def test_a_batch_whose_answer_came_too_late_is_found(night: SteppedNight) -> None:
    async def too_long(seconds: float) -> None:
        night.simulator.advance(seconds)
        raise httpx2.ReadTimeout("no answer in time")

    batch_id = night.planned()
    night.faults({"kind": "delay", "seconds": CREATE_TIMEOUT.total_seconds()})
    with pytest.raises(InDoubtError):
        night.submit(batch_id, night.api_with("k", pause=too_long))
    night.simulator.advance(DAY)
    assert night.look() == ["found"]
    assert len(night.paid()) == 3


def test_an_intent_whose_sender_lives_is_left_alone_and_what_it_sends_is_nobody_elses(night: SteppedNight) -> None:
    looks = []

    async def look_meanwhile(_: float) -> None:
        looks.append((night.look(), night.row("batches", batch_id=batch_id)["state"]))

    batch_id = night.planned("dag/1")
    night.faults({"kind": "delay"})
    night.submit(batch_id, night.api_with("k", pause=look_meanwhile))
    assert looks == [([], "intended")]
    assert night.row("batches", batch_id=batch_id)["state"] == "submitted"


@pytest.mark.parametrize("documents", [3, 4])
def test_a_batch_seen_before_its_sender_wrote_down_its_id_is_no_candidate_for_the_next_intent(
    night: SteppedNight, documents: int
) -> None:
    async def look_meanwhile(_: float) -> None:
        assert night.look() == []

    first = night.planned("dag/1")
    night.faults({"kind": "delay"})
    night.submit(first, night.api_with("k", pause=look_meanwhile))
    for number in range(3, documents):
        (night.repository / f"module{number}.py").write_text(f"VALUE = {number}\n")
        commit(night.repository, "more")
    second = night.planned("dag/2")
    night.lose(second, when="before")

    assert wait_for(night, second).batch_id != second

    assert night.row("sightings", batch_id=first)["verdict"] == "ours"


@pytest.mark.parametrize("lag", [1, 60, 14 * 60, LAG_BOUND.total_seconds()])
def test_a_lost_batch_that_lists_late_within_the_bound_is_waited_for_and_sent_once(
    night: SteppedNight, lag: float
) -> None:
    batch_id = night.planned()
    night.faults({"kind": "list_lag", "seconds": lag}, {"kind": "drop", "when": "after"})
    assert wait_for(night, batch_id, looks=600).batch_id == batch_id
    night.simulator.advance(DAY)
    assert creates(night) == 1
    assert len(night.paid()) == 3


def test_a_batch_that_lists_later_than_the_bound_is_paid_twice_and_reported(night: SteppedNight) -> None:
    batch_id = night.planned()
    night.faults({"kind": "list_lag", "seconds": 6 * 3600}, {"kind": "drop", "when": "after"})
    assert wait_for(night, batch_id).batch_id != batch_id
    night.simulator.advance(DAY)
    assert night.look() == ["second"]
    assert len(night.paid()) == 6
    assert night.row("alerts", kind="paid_twice")["batch_id"] == batch_id


def test_strangers_of_another_size_are_excluded_by_their_count_and_those_of_ours_by_their_rows(
    night: SteppedNight,
) -> None:
    old = night.simulator.add_strangers(3, 1, "w")
    night.simulator.advance(600)
    batch_id = night.planned()
    before = night.simulator.add_strangers(3, 1, "w")
    near = [*night.simulator.add_strangers(2, 1, "w"), *night.simulator.add_strangers(4, 1, "w")]
    night.lose(batch_id)
    after = night.simulator.add_strangers(3, 1, "w")
    for _ in range(2):
        assert night.look() == ["watched"]
        night.simulator.advance(60)
    night.simulator.advance(DAY)

    assert night.look() == ["found"]

    [ours] = [batch.id for batch in night.simulator._own_batches()]
    assert reads_of_results(night) == {ours, *before, *after}
    verdicts = {name: night.row("sightings", api_batch_id=name).get("verdict") for name in [*before, *after, *near]}
    assert verdicts == dict.fromkeys([*before, *after], "stranger") | dict.fromkeys(near)
    assert not night.row("sightings", api_batch_id=old[0])
    assert not [path for path in night.calls("POST") if path.endswith("cancel")]
    assert not night.calls("DELETE")


@pytest.mark.parametrize("when", ["before", "after"])
def test_strangers_alone_delay_the_proof_of_absence_and_do_not_make_a_batch_of_ours(
    night: SteppedNight, when: str
) -> None:
    batch_id = night.planned()
    strangers = night.simulator.add_strangers(3, 2, "w") if when == "before" else []
    night.lose(batch_id, when="before")
    strangers += night.simulator.add_strangers(3, 2, "w") if when == "after" else []
    awaited = wait_for(night, batch_id, looks=600)
    assert awaited.batch_id != batch_id
    assert awaited.api_batch_id not in strangers
    night.simulator.advance(DAY)
    assert len(night.paid()) == 3
    assert not [path for path in night.calls("POST") if path.endswith("cancel")]
    assert not night.calls("DELETE")


def test_two_intents_in_doubt_of_nearly_the_same_size_are_each_matched_to_their_own(night: SteppedNight) -> None:
    three = night.planned("dag/1")
    (night.repository / "module3.py").write_text("VALUE = 3\n")
    commit(night.repository, "another")
    four = night.planned("dag/2")
    for batch_id in (three, four):
        night.lose(batch_id)
    assert night.look() == ["watched"] * 2
    night.simulator.advance(DAY)

    assert night.look() == ["found"] * 2

    assert ingest(night.ledger, night.api, night.now, three).succeeded == 3
    assert ingest(night.ledger, night.api, night.now, four).succeeded == 4


def test_of_two_intents_of_one_size_under_two_keys_of_a_workspace_each_is_matched_to_its_own(
    night: SteppedNight,
) -> None:
    other = night.api_with("l")
    first, second = night.planned("dag/1"), night.planned("dag/2", other)
    night.lose(first)
    night.lose(second, other)
    assert [night.row("batches", batch_id=batch_id)["request_count"] for batch_id in (first, second)] == [3, 3]
    night.simulator.advance(DAY)

    night.look()
    night.look(other)

    for batch_id in (first, second):
        row = night.row("batches", batch_id=batch_id)
        [batch] = [one for one in night.simulator._own_batches() if one.id == row["api_batch_id"]]
        assert {request.custom_id.split("-")[-2] for request in batch.requests} == {row["nonce"]}
    assert ingest(night.ledger, night.api, night.now, first).succeeded == 3
    assert ingest(night.ledger, other, night.now, second).succeeded == 3


def test_nothing_of_a_second_intent_of_the_same_size_is_sent_while_it_waits(night: SteppedNight) -> None:
    first, second = night.planned("dag/1"), night.planned("dag/2")
    night.lose(first, when="before")
    with pytest.raises(ApiError, match="waits"):
        night.submit(second)
    assert night.row("batches", batch_id=second)["state"] == "planned"
    assert creates(night) == 1


def test_a_listing_that_breaks_off_at_its_second_page_proves_nothing(night: SteppedNight) -> None:
    batch_id = night.planned()
    night.lose(batch_id)
    night.simulator.advance(PROVED_ABSENT)
    # A thousand newer batches fill the first page, so ours stands on the second.
    night.simulator.add_strangers(1, 1_000, "w")
    for _ in range(4):
        night.faults(
            {"kind": "delay", "endpoint": "list", "seconds": 0}, {"kind": "error", "endpoint": "list", "status": 500}
        )
        with pytest.raises(ApiError):
            night.look()
        night.simulator.advance(60)
    row = night.row("batches", batch_id=batch_id)
    assert (row["state"], row["empty_listings"]) == ("in_doubt", 0)
    night.simulator.advance(DAY)
    assert night.look() == ["found"]


def test_a_listing_that_shows_a_known_older_batch_counts_and_one_that_lacks_it_does_not(night: SteppedNight) -> None:
    older = night.submit(night.planned("dag/0"))
    night.simulator.advance(DAY)
    batch_id = night.planned("dag/1")
    night.lose(batch_id, when="before")
    night.simulator.advance(PROVED_ABSENT)
    for counted in (1, 2):
        assert night.look() == ["watched"]
        assert night.row("batches", batch_id=batch_id)["empty_listings"] == counted
        night.simulator.advance(60)
    night.simulator.delete(night.row("batches", batch_id=older)["api_batch_id"], "w")
    assert set(minutes(night, 5)) == {"watched"}
    assert night.row("batches", batch_id=batch_id)["state"] == "in_doubt"


def test_an_intent_whose_sender_died_before_the_call_is_doubted_and_sent_again_when_that_is_proved(
    night: SteppedNight, at: Any
) -> None:
    batch_id = night.planned()
    at(FaultPoint.SUBMIT_INTENDED, die)
    with pytest.raises(KeyboardInterrupt):
        night.submit(batch_id)
    assert night.row("batches", batch_id=batch_id)["state"] == "intended"
    assert night.look() == ["watched"]
    assert "died" in night.row("batches", batch_id=batch_id)["note"]
    assert wait_for(night, batch_id).batch_id != batch_id
    assert creates(night) == 1


def test_a_batch_whose_sender_died_before_it_wrote_down_the_answer_is_found(night: SteppedNight, at: Any) -> None:
    batch_id = night.planned()
    at(FaultPoint.SUBMIT_CREATED, die)
    with pytest.raises(KeyboardInterrupt):
        night.submit(batch_id)
    assert night.look() == ["watched"]
    assert night.row("batches", batch_id=batch_id)["state"] == "in_doubt"
    night.simulator.advance(DAY)
    assert night.look() == ["found"]
    assert creates(night) == 1


def test_the_first_of_two_batches_that_a_proxy_made_is_used_and_the_other_one_costs_what_the_bill_says(
    night: SteppedNight, tmp_path: Path
) -> None:
    batch_id = night.planned()
    night.faults({"kind": "repeat"})
    night.submit(batch_id)
    used = night.row("batches", batch_id=batch_id)["api_batch_id"]
    [spare] = {batch.id for batch in night.simulator._own_batches()} - {used}
    night.look()
    night.simulator.advance(DAY)

    for _ in range(2):
        reconcile(night.ledger, night.api, night.now, Folders(tmp_path, tmp_path))

    assert night.row("batches", batch_id=batch_id)["state"] == "ingested"
    bill = night.simulator.bill()["requests"]
    with night.ledger.connect() as connection:
        rows = connection.execute("SELECT api_batch_id, sum(cost_usd), count(*) FROM spare_results GROUP BY 1")
        [kept] = rows.fetchall()
        alerts = connection.execute("SELECT kind, subject FROM alerts").fetchall()
    assert (kept["api_batch_id"], kept["count"]) == (spare, 3)
    assert float(kept["sum"]) == pytest.approx(sum(row["cost_usd"] for row in bill if row["batch_id"] == spare))
    assert alerts == [{"kind": "paid_twice", "subject": spare}]


def test_of_two_looks_at_once_only_one_counts(night: SteppedNight, at: Any) -> None:
    batch_id = night.planned()
    night.lose(batch_id, when="before")
    night.simulator.advance(PROVED_ABSENT)
    within = []
    at(FaultPoint.DOUBT_LISTED, lambda: within.append(night.look()))
    lists = len(night.calls("GET"))
    assert night.look() == ["watched"]
    assert within == [[]]
    assert len(night.calls("GET")) == lists + 1
    assert night.row("batches", batch_id=batch_id)["empty_listings"] == 1


def ended(night: SteppedNight, *faults: dict[str, Any]) -> int:
    batch_id = night.planned()
    night.submit(batch_id)
    night.simulator.advance(DAY)
    night.faults(*faults)
    return batch_id


def test_results_that_are_cut_keep_what_came_and_go_on(night: SteppedNight) -> None:
    batch_id = ended(night, {"kind": "rows", "cut": True})
    with pytest.raises(ApiError):
        ingest(night.ledger, night.api, night.now, batch_id)
    assert night.row("results", batch_id=batch_id)
    assert ingest(night.ledger, night.api, night.now, batch_id).succeeded == 3


@pytest.mark.parametrize(
    ("rows", "succeeded", "missing", "unknown"),
    [
        ({"missing": 1}, 2, 1, 0),
        ({"repeated": 2}, 3, 0, 0),
        ({"unknown": 2}, 3, 0, 2),
        ({"broken_last": True}, 2, 1, 1),
    ],
)
def test_rows_that_are_missing_repeated_unknown_or_broken_are_counted(
    night: SteppedNight, rows: dict[str, Any], succeeded: int, missing: int, unknown: int
) -> None:
    batch_id = ended(night, {"kind": "rows", "times": 2, **rows})
    counted = ingest(night.ledger, night.api, night.now, batch_id)
    assert (counted.succeeded, counted.missing, counted.unknown_rows) == (succeeded, missing, unknown)


def test_results_that_are_gone_hold_and_are_only_paid_again_when_somebody_says_so(night: SteppedNight) -> None:
    batch_id = night.planned()
    night.submit(batch_id)
    night.simulator.advance(29 * DAY + 60)
    with pytest.raises(HeldError, match=r"cannot be read any more.*--again"):
        ingest(night.ledger, night.api, night.now, batch_id)
    assert night.row("alerts", kind="results_gone")
    assert night.submit(batch_id) == batch_id

    resubmit_run(night.ledger, night.now, night.row("batches", batch_id=batch_id)["run_id"], again=True)

    assert night.submit(batch_id) != batch_id


def test_a_batch_canceled_by_somebody_else_holds_its_run_until_somebody_decides(
    night: SteppedNight, tmp_path: Path
) -> None:
    batch_id = night.planned()
    night.faults({"kind": "canceled", "after_seconds": 0})
    night.submit(batch_id)
    night.simulator.advance(3600)
    ingest(night.ledger, night.api, night.now, batch_id)
    run_id = night.row("batches", batch_id=batch_id)["run_id"]
    with pytest.raises(HeldError, match="canceled by somebody else"):
        resubmit_failures(night.ledger, run_id, 2)
    assert night.row("alerts", kind="canceled_by_another")

    resubmit_run(night.ledger, night.now, run_id, again=False)
    resubmit_failures(night.ledger, run_id, 2)
    assert len(plan_round(night.ledger, night.now, run_id, 2)) == 1

    cancel_run(night.ledger, night.api, night.now, run_id)
    assert publish(night.ledger, night.now, run_id, reports=tmp_path / "reports").report
    assert night.row("documents", outcome="unanswered")["reason"].startswith("canceled")
