"""Deadlines in real Airflow: a cut-off is kept; a report at risk or missed is said to be so, once, and only while owed.

A cut-off lies at least 20 minutes after the last moment at which a batch is sent, and Airflow's clock is real. So runs
that wait are made older, in the ledger and in Airflow's own table of deadlines.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.nights import (
    DAG,
    KEY,
    RECONCILE,
    batches_of,
    callbacks_of,
    check_ledger_against_bill,
    clear,
    dag_paused,
    deadline_alerts_of,
    faults,
    finish,
    let_time_pass,
    listed,
    progress_of,
    reconcile,
    report_of,
    repository_of,
    start,
    succeed_by_hand,
    wait_for_deferral,
    wait_for_task,
)
from tests.support import RunningSimulator, wait_until

from backcast.domain.deadlines import AT_RISK_BEFORE, DeadlineKind
from backcast.ledger.connection import Ledger
from backcast.ledger.progress import read_progress
from backcast.ledger.runs import load_run
from backcast.local.environment import simulator_url
from backcast.local.follow import external_key
from backcast.services.open_work import weigh

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.local.stack import Stack

AT_RISK, MISSED = DeadlineKind.AT_RISK, DeadlineKind.MISSED
# Long enough for a batch to be sent: it is until 20 minutes before the cut-off, 54 before the deadline.
NOTICE = timedelta(minutes=90)
MOMENT = timedelta(seconds=5)
# Documents by run. Batches of one size would be sent one after the other.
RUNS = {"held": 3, "never_ends": 4, "stuck": 5, "by_hand": 6, "paused_dag": 7}
# So many of each run its batch does not answer; the others it has answered before anybody cancels it.
UNANSWERED = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("repositories")


@pytest.fixture(scope="module")
def simulator(stack: Stack, folder: Path) -> RunningSimulator:
    """The simulator after the night has begun: each run waits for a batch that never ends."""
    simulator = RunningSimulator(simulator_url(stack.ports))
    simulator.rules(
        *({"match": f'_{number}.py"', "attempts": [1], "outcome": "expired"} for number in range(UNANSWERED))
    )
    never_ends = {"kind": "never_ends", "times": len(RUNS)}
    faults(simulator, never_ends)
    due = (datetime.now(UTC) + NOTICE).isoformat()
    for run, documents in RUNS.items():
        start(stack, repository_of(folder, run, documents), run, deadline=due)
    cancel_by_another(stack, simulator, "held", never_ends)
    for run in RUNS.keys() - {"held"}:
        wait_for_deferral(stack, run)
    faults(simulator)
    simulator.http.post("/simulator/clock", json={"advance_seconds": 20 * 3600}).raise_for_status()
    return simulator


def cancel_by_another(stack: Stack, simulator: RunningSimulator, dag_run_id: str, *others: dict[str, Any]) -> None:
    """Let somebody cancel a run's batch who is not us: nothing is sent for the run until a person has decided."""

    def sent() -> list[str]:
        run = read_progress(stack.ledger, external_key(DAG, dag_run_id))
        return run.api_batch_ids if run else []

    wait_until(lambda: bool(sent()), seconds=120)
    faults(simulator, {"kind": "canceled", "batch": sent()[0]}, *others)


def cut_off(stack: Stack, dag_run_id: str) -> timedelta:
    """How long before its deadline the batches of a run must be canceled."""
    with Ledger(stack.ledger).connect() as connection:
        run = load_run(connection, progress_of(stack, dag_run_id).run_id)
        cutoffs = weigh(connection, datetime.now(UTC), run).cutoffs
    return cutoffs.deadline - cutoffs.cancel_at


def log_of(stack: Stack, dag_run_id: str, task: str) -> str:
    done = wait_for_task(stack, dag_run_id, task, "success")
    return "\n".join(stack.airflow.task_log(DAG, dag_run_id, done))


def check_rescued_in_time(stack: Stack, simulator: RunningSimulator, dag_run_id: str) -> None:
    (batch,) = batches_of(stack, dag_run_id)
    assert batch["cut_off_at"] is not None
    assert batch["state"] == "ingested"
    assert listed(simulator)[batch["api_batch_id"]]["cancel_initiated_at"] is not None
    report, progress = report_of(stack, dag_run_id), progress_of(stack, dag_run_id)
    assert report["totals"]["answered"] == RUNS[dag_run_id]
    assert progress.synchronous_usd > 0
    with Ledger(stack.ledger).connect() as connection:
        run = load_run(connection, progress.run_id)
    assert run["published_at"] < run["deadline"]
    assert deadline_alerts_of(stack, dag_run_id) == []


def test_a_batch_that_never_ends_is_canceled_at_its_cut_off_and_the_report_is_on_time(
    stack: Stack, simulator: RunningSimulator
) -> None:
    let_time_pass(stack, "never_ends", left=cut_off(stack, "never_ends") + MOMENT)
    # Or else it looks at the run when that was to be looked at, half an hour after it was sent.
    clear(stack, "never_ends", wait_for_deferral(stack, "never_ends"))
    finish(stack, "never_ends")

    check_rescued_in_time(stack, simulator, "never_ends")
    assert "The clock allows no more for batch" in log_of(stack, "never_ends", "batch.wait")
    assert f"{UNANSWERED} documents were answered synchronously; 0 are left" in log_of(
        stack, "never_ends", "batch.rescue"
    )


@pytest.mark.usefixtures("simulator")
def test_a_run_that_is_stuck_is_said_to_be_at_risk_and_then_missed(stack: Stack) -> None:
    # So that only the triggerer looks.
    with dag_paused(stack, RECONCILE):
        let_time_pass(stack, "stuck", left=AT_RISK_BEFORE - MOMENT)
        wait_until(lambda: callbacks_of(stack, "stuck") == ["success"], seconds=120)
        assert deadline_alerts_of(stack, "stuck") == [AT_RISK]
        let_time_pass(stack, "stuck", left=-MOMENT)
        wait_until(lambda: callbacks_of(stack, "stuck") == ["success"] * 2, seconds=120)
        assert deadline_alerts_of(stack, "stuck") == [AT_RISK, MISSED]

    # It is never too late to go on.
    clear(stack, "stuck", wait_for_deferral(stack, "stuck"))
    finish(stack, "stuck")
    assert report_of(stack, "stuck")["totals"]["collected"] == RUNS["stuck"]
    assert deadline_alerts_of(stack, "stuck") == [AT_RISK, MISSED]


def test_a_run_that_was_set_to_success_by_hand_raises_nothing(stack: Stack, simulator: RunningSimulator) -> None:
    succeed_by_hand(stack, "by_hand")
    let_time_pass(stack, "by_hand", left=-MOMENT)
    wait_until(lambda: callbacks_of(stack, "by_hand") == ["success"] * 2, seconds=120)
    reconcile(stack, "by_hand")
    assert deadline_alerts_of(stack, "by_hand") == []
    (batch,) = batches_of(stack, "by_hand")
    assert listed(simulator)[batch["api_batch_id"]]["cancel_initiated_at"] is None


@pytest.mark.usefixtures("simulator")
def test_a_run_that_is_held_is_watched_by_reconcile_batches(stack: Stack) -> None:
    wait_until(lambda: stack.airflow.run_state(DAG, "held") == "failed", seconds=120)

    for left, said in ((AT_RISK_BEFORE - MOMENT, [AT_RISK]), (-MOMENT, [AT_RISK, MISSED])):
        let_time_pass(stack, "held", left=left)
        # They cannot know whether somebody ended it.
        wait_until(lambda said=said: callbacks_of(stack, "held") == ["success"] * len(said), seconds=120)
        reconcile(stack, f"held_{len(said)}")
        assert deadline_alerts_of(stack, "held") == said


def test_a_dag_that_is_paused_in_mid_run_still_publishes(stack: Stack, simulator: RunningSimulator) -> None:
    with dag_paused(stack):
        let_time_pass(stack, "paused_dag", left=cut_off(stack, "paused_dag") - MOMENT)
        # The first one cancels, and may come too early for the batch to have ended.
        for number in range(5):
            reconcile(stack, f"catches_up_{number}")
            if progress_of(stack, "paused_dag").state == "published":
                break
        assert stack.airflow.run_state(DAG, "paused_dag") == "running"
        check_rescued_in_time(stack, simulator, "paused_dag")
    finish(stack, "paused_dag")


def test_nothing_of_it_was_paid_twice(stack: Stack, simulator: RunningSimulator, folder: Path) -> None:
    going_on = [id_ for id_, batch in listed(simulator).items() if batch["processing_status"] != "ended"]
    for id_ in going_on:
        simulator.http.post(f"/v1/messages/batches/{id_}/cancel", headers=KEY).raise_for_status()
    wait_until(lambda: all(batch["processing_status"] == "ended" for batch in listed(simulator).values()))
    # What nobody waits for any more is kept, too.
    reconcile(stack, "last")
    check_ledger_against_bill(stack, simulator)
    paid = Counter(charge["document_sha256"] for charge in simulator.bill())
    for run, documents in RUNS.items():
        texts = [(folder / run / f"{run}_{number}.py").read_bytes() for number in range(documents)]
        # As they stand in the prompt.
        times = [paid[sha256(text.rstrip()).hexdigest()] for text in texts]
        assert max(times) <= 1, run
        assert min(times) == (1 if run in ("never_ends", "paused_dag") else 0), run
