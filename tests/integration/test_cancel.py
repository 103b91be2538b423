"""Cancelling is an explicit act: it reaches all of a run, says what it could not do, and is never mistaken for ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.stepped_night import DAY, SteppedNight
from tests.support import commit

from backcast.domain.errors import ApiError, InputError
from backcast.services.cancel import cancel_batch, cancel_lost_runs, cancel_run
from backcast.services.ingest import ingest
from backcast.services.rounds import insert_batch, plan_round

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path, 4)


@pytest.fixture
def two_batches(night: SteppedNight) -> list[int]:
    """Two batches of one run that were sent and have not ended."""
    first = night.planned()
    run_id = night.row("batches", batch_id=first)["run_id"]
    with night.ledger.transaction() as connection:
        place = {"run_id": run_id, "round": 1, "position": 1, "replaces": None, "request_count": 1}
        second, nonce = insert_batch(connection, place)
        connection.execute("UPDATE batches SET request_count = 3 WHERE batch_id = %s", [first])
        connection.execute(
            "UPDATE requests SET batch_id = %s, position = 0, wire_id = replace(wire_id, %s, %s) WHERE position = 3",
            [second, night.row("batches", batch_id=first)["nonce"], nonce],
        )
    return [night.submit(first), night.submit(second)]


def test_a_batch_that_cannot_be_canceled_now_does_not_keep_the_others_from_it(
    night: SteppedNight, two_batches: list[int]
) -> None:
    run_id = night.row("batches", batch_id=two_batches[0])["run_id"]
    night.faults({"kind": "error", "endpoint": "cancel", "status": 500, "times": 1})

    first, second = cancel_run(night.ledger, night.api, night.now, run_id)

    assert (first.failed, second.failed) == (True, False)
    assert "could not be canceled" in first.what
    assert night.row("batches", batch_id=first.batch_id)["cancel_requested_at"] is None
    assert [batch.what for batch in cancel_run(night.ledger, night.api, night.now, run_id)] == ["is being canceled"] * 2


def test_what_somebody_else_cancels_after_our_cancel_failed_holds_the_run(night: SteppedNight) -> None:
    batch_id = night.submit(night.planned())
    night.faults({"kind": "error", "endpoint": "cancel", "status": 500, "times": 1})
    row = night.row("batches", batch_id=batch_id)
    with pytest.raises(ApiError):
        cancel_batch(night.ledger, night.api, night.now, row["api_batch_id"])
    night.api.cancel(row["api_batch_id"])
    night.simulator.advance(DAY)

    ingest(night.ledger, night.api, night.now, batch_id)

    assert "canceled by somebody else" in night.row("runs", run_id=row["run_id"])["held_because"]


def test_a_cancel_whose_answer_was_lost_is_still_ours(night: SteppedNight) -> None:
    batch_id = night.submit(night.planned())
    row = night.row("batches", batch_id=batch_id)
    night.faults({"kind": "drop", "endpoint": "cancel", "when": "after", "times": 1})
    with pytest.raises(ApiError):
        cancel_batch(night.ledger, night.api, night.now, row["api_batch_id"])
    night.simulator.advance(DAY)

    assert ingest(night.ledger, night.api, night.now, batch_id).canceled

    assert night.row("runs", run_id=row["run_id"])["held_because"] is None


def test_a_batch_of_another_workspace_is_not_canceled_and_its_run_goes_on(night: SteppedNight) -> None:
    batch_id = night.submit(night.planned())
    row = night.row("batches", batch_id=batch_id)
    other = night.api_with("l")
    with pytest.raises(InputError, match="was sent to http://simulated with the key"):
        cancel_run(night.ledger, other, night.now, row["run_id"])
    with pytest.raises(InputError, match="nothing was canceled"):
        cancel_batch(night.ledger, other, night.now, row["api_batch_id"])
    assert night.row("runs", run_id=row["run_id"])["canceled_at"] is None
    assert not [path for path in night.calls("POST") if path.endswith("/cancel")]


@pytest.mark.parametrize("exclusive", [False, True])
def test_what_is_in_doubt_is_canceled_only_in_a_workspace_of_our_own(night: SteppedNight, exclusive: bool) -> None:
    batch_id = night.planned()
    night.lose(batch_id)
    run_id = night.row("batches", batch_id=batch_id)["run_id"]

    [canceled] = cancel_run(night.ledger, night.api, night.now, run_id, exclusive=exclusive)

    [lost] = night.simulator._own_batches()
    assert (canceled.api_batch_id, canceled.what.split(":")[0]) == (
        (lost.id, "is being canceled") if exclusive else (None, "is in doubt")
    )
    assert (night.api.retrieve(lost.id).cancel_initiated_at is not None) is exclusive
    night.simulator.advance(DAY)
    assert night.look() == ["found"]
    assert bool(ingest(night.ledger, night.api, night.now, batch_id).canceled) is exclusive
    # What it answers is our own doing, and holds nothing.
    assert night.row("runs", run_id=run_id)["held_because"] is None


def test_a_batch_that_may_be_one_of_two_in_doubt_is_not_canceled(night: SteppedNight) -> None:
    first = night.planned("dag/1")
    night.lose(first)
    (night.repository / "another.py").write_text("VALUE = 'another'\n")
    commit(night.repository, "another")
    [second] = plan_round(night.ledger, night.now, night.collected("dag/2"), 1)
    night.lose(second)
    run_id = night.row("batches", batch_id=second)["run_id"]

    [canceled] = cancel_run(night.ledger, night.api, night.now, run_id, exclusive=True)

    # Both may be the other one as long as no count was seen twice.
    assert canceled.what.startswith("is in doubt")
    night.look()
    [canceled] = cancel_run(night.ledger, night.api, night.now, run_id, exclusive=True)
    assert canceled.api_batch_id == night.simulator._own_batches()[-1].id


def test_what_a_simulator_took_with_it_keeps_no_later_run_waiting(night: SteppedNight) -> None:
    sent = night.submit(night.planned("dag/1"))
    assert plan_round(night.ledger, night.now, night.collected("dag/2"), 1) == []

    assert len(cancel_lost_runs(night.ledger, night.now)) == 2

    assert night.row("batches", batch_id=sent)["state"] == "given_up"
    assert len(plan_round(night.ledger, night.now, night.collected("dag/3"), 1)) == 1
