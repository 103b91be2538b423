"""What a gate must not do: hold what it does not know to be bad, wait for ever, or let pass what it has not seen."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.stepped_night import SteppedNight
from tests.support import WORKFLOW

from backcast.domain.errors import ApiError, HeldError, InDoubtError
from backcast.labelled import load_labelled
from backcast.ledger.connection import sql
from backcast.services.cancel import cancel_run
from backcast.services.fault_points import FaultPoint, listen
from backcast.services.gate import Gated, gate
from backcast.services.reconcile import RESCUED_FOR, Folders, finish_run
from backcast.services.rounds import plan_round
from backcast.settings import workflows_folder
from backcast_simulator.rules import parse_rules

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger

DOCUMENTS = 20
OVERLOADED: dict[str, Any] = {
    "kind": "error",
    "status": 529,
    "type": "overloaded_error",
    "endpoint": "messages",
    "times": 10_000,
}


class Killed(BaseException):
    """The process died here."""


@pytest.fixture
def labelled_night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path, DOCUMENTS)


@pytest.fixture
def night(labelled_night: SteppedNight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SteppedNight:
    """A night of a workflow that has no labelled documents."""
    workflows = tmp_path / "workflows"
    shutil.copytree(workflows_folder(), workflows, ignore=shutil.ignore_patterns("sample"))
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(workflows))
    return labelled_night


def prove(night: SteppedNight, run_id: int) -> Gated:
    return gate(night.ledger, night.api, night.now, run_id, pause=night.pause)


def rules(night: SteppedNight, *rules: dict[str, Any]) -> None:
    night.simulator.set_rules(parse_rules(list(rules)))


def set_runs(night: SteppedNight, assignment: str) -> None:
    with night.ledger.connect() as connection:
        connection.execute(f"UPDATE runs SET {assignment}")


def asked(night: SteppedNight) -> int:
    return len(night.simulator.bill()["requests"])


def test_a_run_that_has_nothing_to_send_needs_no_proof(night: SteppedNight) -> None:
    first, second = night.collected("dag/1"), night.collected("dag/2")
    with night.ledger.connect() as connection:
        connection.execute("UPDATE runs SET simulated = false")
        connection.execute("UPDATE requests SET simulated = false")
    # The first one asks for everything, and is not proved yet.
    assert prove(night, second).verdict is None
    assert plan_round(night.ledger, night.now, second, 1) == []
    assert prove(night, first).verdict == "passed"
    assert plan_round(night.ledger, night.now, second, 1) == []


def test_labelled_documents_that_the_month_has_no_money_for_say_nothing_of_a_prompt(
    labelled_night: SteppedNight,
) -> None:
    night = labelled_night
    run_id = night.collected()
    with night.ledger.connect() as connection:
        row = connection.execute("SELECT sum(reserved_usd) AS usd FROM requests").fetchone() or {}
    # All of the run, ten of it synchronously, and not quite three labelled documents.
    set_runs(night, f"max_usd_a_month = {row['usd']} * (1 + 10.0 / {DOCUMENTS} + 5.5 / {DOCUMENTS})")
    gated = prove(night, run_id)
    assert gated.verdict == "passed"
    assert gated.scores
    assert gated.scores["documents"] == 10
    assert 0 < gated.scores["labelled"]["documents"] < len(load_labelled(WORKFLOW))


def test_labelled_documents_are_paid_for_from_the_budget_of_the_run(labelled_night: SteppedNight) -> None:
    night = labelled_night
    run_id = night.collected()
    with night.ledger.connect() as connection:
        row = connection.execute("SELECT sum(reserved_usd) AS usd FROM requests").fetchone() or {}
    set_runs(night, f"max_usd = 3 * {row['usd']}")
    prove(night, run_id)
    most = night.row("runs", run_id=run_id)["max_usd"]
    sample = night.row("runs", kind="sample")
    with night.ledger.connect() as connection:
        committed = connection.execute(sql("committed_money"), {"run_id": run_id}).fetchone() or {}
    spent = sum(Decimal(str(charge["cost_usd"])) for charge in night.simulator.bill()["requests"])
    reserved = row["usd"] * (DOCUMENTS - 10) / DOCUMENTS
    assert abs(committed["run_usd"] - spent - reserved) < reserved / 10
    assert 0 < sample["max_usd"] < most


def test_labelled_documents_that_another_gate_asks_about_are_waited_for(labelled_night: SteppedNight) -> None:
    night = labelled_night
    must = [document for document in load_labelled(WORKFLOW) if document.must][:3]
    nothing = {"outcome": "answer", "text": '{"findings": []}'}
    rules(night, *({"match": f'path="{document.path}"', **nothing} for document in must))
    first = night.collected("dag/1")
    second = night.collected("dag/2", repository=str(night._own_repository("dag/2")))
    calls = 0

    def die(point: FaultPoint) -> None:
        nonlocal calls
        calls += point is FaultPoint.RESCUE_CALL_WRITTEN
        # Its own sample is answered, and it asks about the labelled documents.
        if calls > 10:
            raise Killed

    listen(die)
    try:
        with suppress(Killed, BaseExceptionGroup):
            prove(night, first)
    finally:
        listen(None)
    with pytest.raises(HeldError, match=r"10 of 10 accepted, precision 1\.00, recall 0\.8"):
        prove(night, second)
    with pytest.raises(HeldError):
        prove(night, first)


@pytest.mark.parametrize("other", ["max_tokens = 100", "structured = NOT structured"])
def test_a_pass_holds_for_the_shape_that_was_proved(night: SteppedNight, other: str) -> None:
    prove(night, night.collected())
    before = asked(night)
    second = night.collected("dag/2", repository=str(night._own_repository("dag/2")))
    set_runs(night, f"{other} WHERE run_id = {second}")
    assert prove(night, second).verdict == "passed"
    assert asked(night) == before + 10


def test_a_pass_of_a_few_documents_does_not_hold_for_many(night: SteppedNight) -> None:
    prove(night, night.collected(max_documents=2))
    second = night.collected("dag/2", repository=str(night._own_repository("dag/2")))
    assert prove(night, second).verdict == "passed"
    assert asked(night) == 2 + 10
    third = night.collected("dag/3", repository=str(night._own_repository("dag/3")))
    prove(night, third)
    assert asked(night) == 2 + 10


def test_a_pass_of_a_few_documents_holds_for_as_few(night: SteppedNight) -> None:
    prove(night, night.collected(max_documents=2))
    second = night.collected("dag/2", repository=str(night._own_repository("dag/2")), max_documents=2)
    assert prove(night, second).verdict == "passed"
    assert asked(night) == 2


def test_near_the_deadline_the_report_comes_before_labelled_documents(labelled_night: SteppedNight) -> None:
    night = labelled_night
    run_id = night.collected()
    deadline = night.row("runs", run_id=run_id)["deadline"]
    night.simulator.advance((deadline - night.now()).total_seconds() - 3600)
    calls = 0

    def overload(point: FaultPoint) -> None:
        nonlocal calls
        calls += point is FaultPoint.RESCUE_ANSWER_STORED
        if calls == 10:
            night.faults(OVERLOADED)

    listen(overload)
    try:
        assert prove(night, run_id).verdict == "passed"
    finally:
        listen(None)
    assert night.now() < deadline - timedelta(minutes=30)


def test_a_run_that_nobody_works_on_does_not_keep_others_waiting_for_its_sample(night: SteppedNight) -> None:
    run_id = night.collected()
    began = night.now()
    night.faults(OVERLOADED)
    folders = Folders(night.folder, night.folder / "reports", night.pause)
    assert finish_run(night.ledger, night.api, night.now, run_id, folders) == "waits for its sample"
    assert night.now() - began <= RESCUED_FOR + timedelta(minutes=2)
    night.faults()
    assert finish_run(night.ledger, night.api, night.now, run_id, folders) == "waits for 1 batches of round 1"


def test_a_gate_ends_when_its_run_is_canceled_in_the_middle_of_a_call(night: SteppedNight) -> None:
    run_id = night.collected()
    night.faults({**OVERLOADED, "times": 1})
    pauses = 0

    def cancel(point: FaultPoint) -> None:
        if point is FaultPoint.RESCUE_CALL_WRITTEN and not night.row("runs", run_id=run_id)["canceled_at"]:
            cancel_run(night.ledger, night.api, night.now, run_id)

    async def pause(seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses > 100:
            raise Killed
        await night.pause(seconds)

    listen(cancel)
    try:
        gated = gate(night.ledger, night.api, night.now, run_id, pause=pause)
    finally:
        listen(None)
    assert gated.verdict is None


def test_a_gate_whose_labelled_documents_have_no_answer_yet_is_tried_again(
    labelled_night: SteppedNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = labelled_night
    run_id = night.collected()

    def unanswered(*_: object, **__: object) -> None:
        raise InDoubtError("15 requests have no result yet")

    with monkeypatch.context() as patched:
        patched.setattr("backcast.services.gate.score", unanswered)
        with pytest.raises(ApiError, match="The sample of run 1 is not answered yet: 15 requests"):
            prove(night, run_id)
    assert prove(night, run_id).verdict == "passed"
