"""Results are stored once and whole, whatever a read of them brings, and what cannot be had is never paid again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.stepped_night import DAY, SteppedNight

from backcast.domain.errors import ApiError, HeldError, InputError
from backcast.services.cancel import cancel_run, resubmit_run
from backcast.services.fault_points import FaultPoint, listen
from backcast.services.ingest import Ingested, ingest
from backcast.services.publish import publish
from backcast.services.reconcile import Folders, reconcile
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import plan_round
from backcast.services.submit import submit
from backcast.services.waiting import awaited_batch
from backcast_simulator.rules import parse_rules

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger

DOCUMENTS = 8


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path, DOCUMENTS)


@pytest.fixture
def batch_id(night: SteppedNight) -> int:
    """A batch that was sent and has not ended."""
    return night.submit(night.planned())


def end(night: SteppedNight, *faults: dict[str, Any]) -> None:
    night.simulator.advance(DAY)
    night.faults(*faults)


def read(night: SteppedNight, batch_id: int) -> Ingested:
    return ingest(night.ledger, night.api, night.now, batch_id)


def stored(night: SteppedNight, table: str = "results") -> list[dict[str, Any]]:
    with night.ledger.connect() as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY received_at").fetchall()  # type: ignore[arg-type]


def run_of(night: SteppedNight, batch_id: int) -> int:
    run_id: int = night.row("batches", batch_id=batch_id)["run_id"]
    return run_id


def creates(night: SteppedNight) -> int:
    return sum(path.endswith("/batches") for path in night.calls("POST"))


def reads(night: SteppedNight) -> int:
    return sum(path.endswith("/results") for path in night.calls("GET"))


def test_results_cut_in_mid_row_are_stored_up_to_the_cut_and_completed_by_the_next_call(
    night: SteppedNight, batch_id: int
) -> None:
    end(night, {"kind": "rows", "cut": True})
    with pytest.raises(ApiError):
        read(night, batch_id)
    before = stored(night)
    assert len(before) == DOCUMENTS - 1
    assert night.row("batches", batch_id=batch_id)["state"] == "ended"
    assert not stored(night, "unknown_rows")
    night.simulator.advance(60)

    assert read(night, batch_id) == Ingested(DOCUMENTS, 0, 0, 0, 0, 0)

    after = stored(night)
    # What the first read had stored was not stored again.
    assert [row["result_id"] for row in after[:-1]] == [row["result_id"] for row in before]
    assert {row["received_at"] for row in after[:-1]} == {row["received_at"] for row in before}
    assert len(after) == DOCUMENTS


def test_results_that_are_cut_again_and_again_are_not_taken_for_missing(night: SteppedNight, batch_id: int) -> None:
    end(night, {"kind": "rows", "cut": True, "times": 5})
    for _ in range(5):
        with pytest.raises(ApiError):
            read(night, batch_id)
    assert {row["result_type"] for row in stored(night)} == {"succeeded"}
    assert read(night, batch_id).succeeded == DOCUMENTS


def test_rows_out_of_order_are_matched_by_their_ids(night: SteppedNight) -> None:
    night.simulator.set_rules(parse_rules([{"match": f'path="module{DOCUMENTS - 1}.py"', "outcome": "malformed"}]))
    batch_id = night.submit(night.planned())
    end(night)
    name = night.row("batches", batch_id=batch_id)["api_batch_id"]
    with night.api.result_lines(name) as lines:
        arrived = [json.loads(line)["custom_id"] for line in lines if line]
    with night.ledger.connect() as connection:
        sent = connection.execute("SELECT wire_id FROM requests ORDER BY position").fetchall()
    assert arrived != [row["wire_id"] for row in sent]

    read(night, batch_id)

    with night.ledger.connect() as connection:
        failed = connection.execute(
            "SELECT path FROM requests JOIN documents USING (document_id) WHERE state = 'failed'"
        ).fetchall()
    assert failed == [{"path": f"module{DOCUMENTS - 1}.py"}]


def test_a_row_that_lacks_in_one_read_only_is_taken_from_the_next(night: SteppedNight, batch_id: int) -> None:
    end(night, {"kind": "rows", "missing": 2})
    assert read(night, batch_id) == Ingested(DOCUMENTS, 0, 0, 0, 0, 0)
    assert reads(night) == 2


def test_a_row_that_lacks_in_two_whole_reads_is_missing_and_its_request_goes_again(
    night: SteppedNight, batch_id: int
) -> None:
    end(night, {"kind": "rows", "missing": 2, "times": 2})
    assert read(night, batch_id) == Ingested(DOCUMENTS - 2, 0, 0, 0, missing=2, unknown_rows=0)
    assert reads(night) == 2
    run_id = run_of(night, batch_id)
    resubmit_failures(night.ledger, run_id, 2)
    [second] = plan_round(night.ledger, night.now, run_id, 2)
    assert night.row("batches", batch_id=second)["request_count"] == 2
    # What was counted off is not read again.
    assert read(night, batch_id).missing == 2
    assert reads(night) == 2


@pytest.mark.parametrize("fault", [{"repeated": 3}, {"unknown": 3}, {"repeated": 2, "unknown": 2}])
def test_rows_that_are_repeated_or_unknown_answer_nothing_twice(
    night: SteppedNight, batch_id: int, fault: dict[str, int]
) -> None:
    end(night, {"kind": "rows", **fault})
    unknown = fault.get("unknown", 0)
    assert read(night, batch_id) == Ingested(DOCUMENTS, 0, 0, 0, 0, unknown_rows=unknown)
    assert len(stored(night)) == DOCUMENTS
    assert len(stored(night, "unknown_rows")) == unknown
    cost = sum(float(row["cost_usd"]) for row in stored(night))
    assert cost == pytest.approx(sum(charge["cost_usd"] for charge in night.simulator.bill()["requests"]))


def test_a_last_row_that_is_half_there_is_missing_and_its_text_is_kept(night: SteppedNight, batch_id: int) -> None:
    end(night, {"kind": "rows", "broken_last": True, "times": 2})
    assert read(night, batch_id) == Ingested(DOCUMENTS - 1, 0, 0, 0, missing=1, unknown_rows=1)
    [kept] = stored(night, "unknown_rows")
    [missing] = [row["wire_id"] for row in stored(night) if row["result_type"] == "missing"]
    assert kept["raw"].startswith("{")
    assert missing in kept["raw"]


def test_a_batch_that_is_not_found_for_a_while_is_ingested_later(night: SteppedNight, batch_id: int) -> None:
    night.simulator.advance(DAY)
    name = night.row("batches", batch_id=batch_id)["api_batch_id"]
    night.faults({"kind": "not_found", "batch": name, "seconds": 60})
    with pytest.raises(ApiError):
        read(night, batch_id)
    assert night.row("batches", batch_id=batch_id)["state"] == "submitted"
    night.simulator.advance(60)
    assert read(night, batch_id).succeeded == DOCUMENTS


def test_results_that_are_not_found_for_a_while_are_read_later(night: SteppedNight, batch_id: int) -> None:
    end(night, {"kind": "error", "endpoint": "results", "status": 404, "type": "not_found_error", "times": 2})
    for _ in range(2):
        with pytest.raises(ApiError):
            read(night, batch_id)
    assert not stored(night)
    assert night.row("batches", batch_id=batch_id)["state"] == "ended"
    assert read(night, batch_id).succeeded == DOCUMENTS
    assert not night.row("alerts", kind="results_gone")


def test_a_batch_that_has_not_ended_is_not_ingested(night: SteppedNight, batch_id: int) -> None:
    with pytest.raises(ApiError, match="is still in_progress"):
        read(night, batch_id)
    assert reads(night) == 0


def test_results_that_are_gone_are_never_sent_again_but_by_a_person(
    night: SteppedNight, batch_id: int, tmp_path: Path
) -> None:
    night.simulator.advance(29 * DAY)
    run_id = run_of(night, batch_id)
    for _ in range(2):
        with pytest.raises(HeldError, match="cannot be read any more"):
            read(night, batch_id)
    assert awaited_batch(night.ledger, night.api, night.now, batch_id).batch_id == batch_id
    reconcile(night.ledger, night.api, night.now, Folders(tmp_path, tmp_path / "reports"), [run_id])
    assert resubmit_failures(night.ledger, run_id, 2).counts.total() == 0
    assert plan_round(night.ledger, night.now, run_id, 2) == []
    with pytest.raises(InputError, match="--again"):
        resubmit_run(night.ledger, night.now, run_id, again=False)
    assert night.row("alerts", kind="results_gone")["run_id"] == run_id
    assert creates(night) == 1

    assert resubmit_run(night.ledger, night.now, run_id, again=True) == [batch_id]

    awaited = awaited_batch(night.ledger, night.api, night.now, batch_id)
    assert awaited.batch_id != batch_id
    assert creates(night) == 2
    night.simulator.advance(DAY)
    assert read(night, awaited.batch_id).succeeded == DOCUMENTS
    assert publish(night.ledger, night.now, run_id, reports=tmp_path / "reports").report


def test_results_that_cannot_be_read_for_another_reason_are_not_gone_before_their_time(
    night: SteppedNight, batch_id: int
) -> None:
    night.simulator.advance(29 * DAY - 1)
    night.faults({"kind": "error", "endpoint": "results", "status": 500})
    with pytest.raises(ApiError):
        read(night, batch_id)
    assert night.row("batches", batch_id=batch_id)["gone_at"] is None
    assert read(night, batch_id).succeeded == DOCUMENTS


def canceled_by_another(night: SteppedNight) -> tuple[int, int]:
    """A run whose batch somebody else canceled, and that was ingested; with its batch."""
    batch_id = night.planned()
    night.faults({"kind": "canceled", "after_seconds": 0})
    night.submit(batch_id)
    night.simulator.advance(3600)
    assert read(night, batch_id).canceled == DOCUMENTS
    return run_of(night, batch_id), batch_id


def test_a_run_whose_batch_somebody_else_canceled_is_held_and_nothing_of_it_is_sent(
    night: SteppedNight, tmp_path: Path
) -> None:
    run_id, batch_id = canceled_by_another(night)
    assert "canceled by somebody else" in night.row("runs", run_id=run_id)["held_because"]
    assert night.row("alerts", kind="canceled_by_another")["batch_id"] == batch_id
    with pytest.raises(HeldError):
        resubmit_failures(night.ledger, run_id, 2)
    done = reconcile(night.ledger, night.api, night.now, Folders(tmp_path, tmp_path), [run_id])
    assert "is held" in done.problems[0]
    assert creates(night) == 1


def test_a_reader_that_dies_when_it_has_counted_off_a_canceled_batch_has_held_its_run(night: SteppedNight) -> None:
    def die(point: FaultPoint) -> None:
        if point == FaultPoint.INGEST_JUDGED:
            raise KeyboardInterrupt

    batch_id = night.planned()
    night.faults({"kind": "canceled", "after_seconds": 0})
    night.submit(batch_id)
    night.simulator.advance(3600)
    listen(die)
    try:
        with pytest.raises(KeyboardInterrupt):
            read(night, batch_id)
    finally:
        listen(None)

    assert read(night, batch_id).canceled == DOCUMENTS

    with pytest.raises(HeldError):
        resubmit_failures(night.ledger, run_of(night, batch_id), 2)
    assert night.row("alerts", kind="canceled_by_another")


def test_a_run_that_is_let_go_on_sends_what_somebody_else_canceled(night: SteppedNight, tmp_path: Path) -> None:
    run_id, _ = canceled_by_another(night)
    resubmit_run(night.ledger, night.now, run_id, again=False)
    resubmit_failures(night.ledger, run_id, 2)
    [second] = plan_round(night.ledger, night.now, run_id, 2)
    night.submit(second)
    night.simulator.advance(DAY)
    assert read(night, second).succeeded == DOCUMENTS
    assert publish(night.ledger, night.now, run_id, reports=tmp_path / "reports").report
    assert night.row("runs", run_id=run_id)["answered"] == DOCUMENTS
    assert len(night.paid()) == DOCUMENTS


def test_a_held_run_that_is_canceled_is_published_with_what_has_no_answer(night: SteppedNight, tmp_path: Path) -> None:
    run_id, _ = canceled_by_another(night)
    cancel_run(night.ledger, night.api, night.now, run_id)
    assert resubmit_failures(night.ledger, run_id, 2).counts.total() == 0
    assert publish(night.ledger, night.now, run_id, reports=tmp_path / "reports").report
    assert night.row("runs", run_id=run_id)["unanswered"] == DOCUMENTS
    assert night.row("documents", run_id=run_id)["reason"] == "passing: canceled"
    assert creates(night) == 1


def half_done(night: SteppedNight) -> None:
    """Let time pass until some requests of the only batch are done and others are not."""
    [batch] = night.simulator._own_batches()
    for _ in range(24 * 60):
        night.simulator.advance(60)
        if batch.unfinished(night.now()) <= DOCUMENTS // 2:
            break
    assert 0 < batch.unfinished(night.now()) < DOCUMENTS


def test_a_run_that_is_canceled_keeps_what_had_finished_and_pays_for_no_more(
    night: SteppedNight, batch_id: int, tmp_path: Path
) -> None:
    run_id = run_of(night, batch_id)
    half_done(night)
    [canceled] = cancel_run(night.ledger, night.api, night.now, run_id)
    assert canceled.what == "is being canceled"
    night.simulator.advance(60)

    counted = read(night, batch_id)

    assert counted.succeeded > 0
    assert counted.canceled > 0
    assert counted.succeeded + counted.canceled == DOCUMENTS
    # Our own cancel holds nothing.
    assert not night.row("runs", run_id=run_id)["held_because"]
    assert not night.row("alerts", run_id=run_id)
    assert publish(night.ledger, night.now, run_id, reports=tmp_path / "reports").report
    run = night.row("runs", run_id=run_id)
    assert (run["answered"], run["unanswered"]) == (counted.succeeded, counted.canceled)
    assert len(night.paid()) == counted.succeeded


def test_a_run_that_is_canceled_before_it_sends_sends_nothing(night: SteppedNight, tmp_path: Path) -> None:
    planned = night.planned()
    run_id = run_of(night, planned)
    cancel_run(night.ledger, night.api, night.now, run_id)
    assert submit(night.ledger, night.api, night.now, planned) == planned
    assert creates(night) == 0
    with pytest.raises(InputError, match="was canceled"):
        resubmit_run(night.ledger, night.now, run_id, again=True)
    assert publish(night.ledger, night.now, run_id, reports=tmp_path / "reports").report
    assert night.row("runs", run_id=run_id)["unanswered"] == DOCUMENTS


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_is_canceled_while_its_batch_is_in_doubt_sends_nothing_more(
    night: SteppedNight, tmp_path: Path, when: str
) -> None:
    planned = night.planned()
    run_id = run_of(night, planned)
    night.lose(planned, when=when)
    cancel_run(night.ledger, night.api, night.now, run_id)
    for _ in range(60):
        awaited = awaited_batch(night.ledger, night.api, night.now, planned)
        if awaited.ended or awaited.api_batch_id:
            break
        night.simulator.advance(60)
    night.simulator.advance(DAY)
    folders = Folders(tmp_path, tmp_path / "reports")
    for _ in range(4):
        done = reconcile(night.ledger, night.api, night.now, folders, [run_id])
        night.simulator.advance(60)

    assert done.finished[run_id].startswith("published")

    assert creates(night) == 1
    run = night.row("runs", run_id=run_id)
    assert run["answered"] == len(night.paid()) == (DOCUMENTS if when == "after" else 0)
    assert run["answered"] + run["unanswered"] == DOCUMENTS
