"""A document that one run has asked for is not asked for by another, which takes that answer, or the work over."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from tests.stepped_night import SteppedNight

from backcast.anthropic_api.batches import RefusedError
from backcast.services.cancel import cancel_run
from backcast.services.claims import PUBLISH_WITHIN, await_claims, told
from backcast.services.collect import collect
from backcast.services.ingest import ingest
from backcast.services.publish import publish
from backcast.services.reconcile import Folders, finish_run, mark_left
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import INHERITED_ROUND, plan_round
from backcast_simulator.rules import parse_rules

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger

DOCUMENTS = 4


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path, DOCUMENTS)


def run_of(night: SteppedNight, batch_id: int) -> int:
    run_id: int = night.row("batches", batch_id=batch_id)["run_id"]
    return run_id


def waits(night: SteppedNight, run_id: int) -> dict[int, int]:
    return await_claims(night.ledger, night.now, run_id)


def answered(night: SteppedNight, batch_id: int) -> None:
    """Let a batch end and read it."""
    name = night.row("batches", batch_id=batch_id)["api_batch_id"]
    while night.api.retrieve(name).ended_at is None:
        night.simulator.advance(600)
    ingest(night.ledger, night.api, night.now, batch_id)


def published(night: SteppedNight, run_id: int) -> dict[str, Any]:
    assert publish(night.ledger, night.now, run_id, reports=night.folder / "reports").report
    return night.row("runs", run_id=run_id)


def creates(night: SteppedNight) -> int:
    return sum(path.endswith("/batches") for path in night.calls("POST"))


def fail_always(night: SteppedNight, times: int = 9) -> None:
    rule = {"outcome": "errored", "error_type": "overloaded_error", "attempts": list(range(1, times + 1))}
    night.simulator.set_rules(parse_rules([rule]))


def test_what_is_in_flight_in_one_run_is_answered_in_the_other_too_and_paid_for_once(night: SteppedNight) -> None:
    batch_id = night.submit(night.planned("dag/1"))
    second = night.collected("dag/2")
    assert plan_round(night.ledger, night.now, second, 1) == []
    elsewhere = waits(night, second)
    assert elsewhere == {run_of(night, batch_id): DOCUMENTS}
    assert told(elsewhere) == f"{DOCUMENTS} documents that run {run_of(night, batch_id)} asked for"
    answered(night, batch_id)

    assert waits(night, second) == {}

    assert plan_round(night.ledger, night.now, second, INHERITED_ROUND) == []
    run = published(night, second)
    assert (run["answered"], run["reused"], run["unanswered"]) == (0, DOCUMENTS, 0)
    assert published(night, run_of(night, batch_id))["answered"] == DOCUMENTS
    assert len(night.paid()) == DOCUMENTS
    assert creates(night) == 1


def test_two_runs_that_collect_at_once_ask_for_each_document_once(night: SteppedNight) -> None:
    runs = [night.collected(f"dag/{number}", dry_run=True) for number in range(6)]
    with night.ledger.connect() as connection:
        # As they stood before they collected, since what is tried here is to collect at the same moment.
        connection.execute("DELETE FROM requests")
        connection.execute("DELETE FROM documents")
        connection.execute("ALTER TABLE runs DISABLE TRIGGER runs_transition")
        connection.execute("UPDATE runs SET state = 'open', dry_run = false")
        connection.execute("ALTER TABLE runs ENABLE TRIGGER runs_transition")
    with ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(lambda run_id: collect(night.ledger, night.now, run_id, cache=night.folder), runs))

    with night.ledger.connect() as connection:
        rows = connection.execute("SELECT answer_key, run_id FROM requests").fetchall()
    assert len({row["answer_key"] for row in rows}) == len(rows) == DOCUMENTS


def test_what_failed_once_is_left_to_the_run_that_may_try_it_again(night: SteppedNight) -> None:
    fail_always(night, times=1)
    batch_id = night.submit(night.planned("dag/1"))
    first, second = run_of(night, batch_id), night.collected("dag/2")
    answered(night, batch_id)
    assert waits(night, second) == {first: DOCUMENTS}
    resubmit_failures(night.ledger, first, 2)
    assert waits(night, second) == {first: DOCUMENTS}
    [again] = plan_round(night.ledger, night.now, first, 2)
    answered(night, night.submit(again))
    assert waits(night, second) == {}
    assert published(night, second)["reused"] == DOCUMENTS
    assert creates(night) == 2


def test_what_one_run_gave_up_is_inherited_by_the_other(night: SteppedNight) -> None:
    passing = {"outcome": "errored", "error_type": "overloaded_error", "attempts": [1]}
    night.simulator.set_rules(parse_rules([passing, {"outcome": "malformed", "attempts": [2, 3, 4]}]))
    batch_id = night.submit(night.planned("dag/1", sla="96h"))
    first, second = run_of(night, batch_id), night.collected("dag/2", sla="96h")
    answered(night, batch_id)
    resubmit_failures(night.ledger, first, 2)
    answered(night, night.submit(plan_round(night.ledger, night.now, first, 2)[0]))
    assert waits(night, second) == {first: DOCUMENTS}
    night.rescue(first)
    night.simulator.set_rules([])

    assert waits(night, second) == {}

    [inherited] = plan_round(night.ledger, night.now, second, INHERITED_ROUND)
    third = night.collected("dag/3", sla="96h")
    assert waits(night, third) == {second: DOCUMENTS}
    answered(night, night.submit(inherited))
    assert published(night, second)["answered"] == DOCUMENTS
    # Its own attempts failed, and the answer that the other run got is as good.
    assert published(night, first)["reused"] == DOCUMENTS
    assert waits(night, third) == {}
    assert published(night, third)["reused"] == DOCUMENTS


def test_what_a_canceled_run_had_not_sent_is_free_at_once_and_what_it_had_sent_when_it_has_ended(
    night: SteppedNight,
) -> None:
    planned = night.planned("dag/1")
    second = night.collected("dag/2")
    assert waits(night, second)
    cancel_run(night.ledger, night.api, night.now, run_of(night, planned))
    assert waits(night, second) == {}
    [inherited] = plan_round(night.ledger, night.now, second, INHERITED_ROUND)
    night.submit(inherited)
    cancel_run(night.ledger, night.api, night.now, second)
    third = night.collected("dag/3")
    assert waits(night, third) == {second: DOCUMENTS}

    answered(night, inherited)

    assert waits(night, third) == {}
    assert night.row("batches", batch_id=inherited)["canceled"] == DOCUMENTS
    assert len(plan_round(night.ledger, night.now, third, INHERITED_ROUND)) == 1


def test_what_a_run_that_somebody_ended_has_not_sent_is_taken_over_and_never_sent_by_it(night: SteppedNight) -> None:
    planned = night.planned("dag/1")
    first, second = run_of(night, planned), night.collected("dag/2")
    mark_left(night.ledger, night.now, [first])

    assert waits(night, second) == {}

    [inherited] = plan_round(night.ledger, night.now, second, INHERITED_ROUND)
    # Somebody clears the tasks of the first run, of which nothing is left to send.
    assert night.submit(planned) == planned
    assert night.row("batches", batch_id=planned)["state"] == "withdrawn"
    answered(night, night.submit(inherited))
    run = published(night, first)
    assert (run["reused"], run["unanswered"]) == (DOCUMENTS, 0)
    assert creates(night) == 1


def test_a_refused_batch_of_a_run_that_was_taken_over_is_not_sent_again(night: SteppedNight) -> None:
    planned = night.planned("dag/1")
    first = run_of(night, planned)
    night.faults({"kind": "error", "status": 400, "type": "invalid_request_error"})
    with pytest.raises(RefusedError):
        night.submit(planned)
    mark_left(night.ledger, night.now, [first])
    second = night.collected("dag/2")
    assert len(plan_round(night.ledger, night.now, second, 1)) == 1

    stands = night.submit(planned)

    assert night.row("batches", batch_id=stands)["state"] == "withdrawn"
    assert creates(night) == 1
    run = published(night, first)
    assert run["unanswered"] == DOCUMENTS
    assert "taken over" in night.row("documents", run_id=first)["reason"]


def test_what_failed_in_a_run_that_was_taken_over_gets_no_child(night: SteppedNight) -> None:
    fail_always(night)
    batch_id = night.submit(night.planned("dag/1"))
    first = run_of(night, batch_id)
    answered(night, batch_id)
    mark_left(night.ledger, night.now, [first])
    night.collected("dag/2")
    assert resubmit_failures(night.ledger, first, 2).counts.total() == 0
    assert plan_round(night.ledger, night.now, first, 2) == []


def test_what_a_left_run_has_in_flight_stays_its_own(night: SteppedNight) -> None:
    batch_id = night.submit(night.planned("dag/1"))
    first = run_of(night, batch_id)
    mark_left(night.ledger, night.now, [first])
    second = night.collected("dag/2")
    assert waits(night, second) == {first: DOCUMENTS}
    mark_left(night.ledger, night.now, [])
    assert night.row("runs", run_id=first)["left_at"] is None
    answered(night, batch_id)
    assert waits(night, second) == {}
    assert published(night, second)["reused"] == DOCUMENTS


def test_a_run_past_its_deadline_keeps_nobody_waiting(night: SteppedNight) -> None:
    night.planned("dag/1")
    night.simulator.advance(31 * 3600)
    second = night.collected("dag/2")
    assert len(plan_round(night.ledger, night.now, second, 1)) == 1


def test_nobody_waits_past_the_own_deadline(night: SteppedNight) -> None:
    batch_id = night.planned("dag/1")
    night.lose(batch_id)
    first, second = run_of(night, batch_id), night.collected("dag/2")
    night.simulator.advance(30 * 3600 - PUBLISH_WITHIN.total_seconds() - 1)
    assert waits(night, second)
    night.simulator.advance(1)
    assert waits(night, second) == {}
    assert plan_round(night.ledger, night.now, second, INHERITED_ROUND) == []
    assert published(night, second)["unanswered"] == DOCUMENTS
    assert night.row("documents", run_id=second)["reason"] == (
        f"in flight: run {first} asked for it and had no answer in time"
    )


def test_a_full_run_takes_only_answers_that_came_after_it_began(night: SteppedNight) -> None:
    answered(night, night.submit(night.planned("dag/1")))
    second = night.collected("dag/2", full=True)
    [batch_id] = plan_round(night.ledger, night.now, second, 1)
    third = night.collected("dag/3", full=True)
    assert plan_round(night.ledger, night.now, third, 1) == []
    assert waits(night, third) == {second: DOCUMENTS}
    answered(night, night.submit(batch_id))
    assert waits(night, third) == {}
    assert published(night, third)["reused"] == DOCUMENTS
    assert len(night.paid()) == 2 * DOCUMENTS


def test_an_estimate_claims_nothing_and_waits_for_nobody(night: SteppedNight) -> None:
    first = night.collected("dag/1", dry_run=True)
    assert waits(night, first) == {}
    second = night.collected("dag/2")
    assert night.row("runs", run_id=first)["estimated_requests"] == DOCUMENTS
    assert len(plan_round(night.ledger, night.now, second, 1)) == 1


def test_a_run_that_reconcile_finishes_waits_for_the_other_too(night: SteppedNight, tmp_path: Path) -> None:
    batch_id = night.submit(night.planned("dag/1"))
    first, second = run_of(night, batch_id), night.collected("dag/2")
    folders = Folders(tmp_path, tmp_path / "reports")
    said = finish_run(night.ledger, night.api, night.now, second, folders)
    assert said == f"waits for {DOCUMENTS} documents that run {first} asked for"
    answered(night, batch_id)
    assert finish_run(night.ledger, night.api, night.now, second, folders).startswith("published")
