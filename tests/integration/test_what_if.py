"""What an all-or-nothing choice would cost is reckoned from what runs have cost, not from an estimate."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from tests.stepped_night import SteppedNight
from tests.support import WORKFLOW, prove

from backcast.cli import main
from backcast.domain.what_if import Choice
from backcast.services.what_if import ask

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path)


def whole(night: SteppedNight, key: str, **params: Any) -> int:
    run_id = night.collected(key, full=True, **params)
    prove(night.ledger, run_id)
    night.through(run_id, seconds=7200)
    return run_id


def paid_for(ledger: Ledger) -> tuple[Decimal, Decimal]:
    with ledger.connect() as connection:
        row = connection.execute("SELECT sum(cost_usd) AS paid, sum(synchronous_usd) AS sync FROM results").fetchone()
        # As it would be had the API answered: what a simulator answers is paid by nobody.
        connection.execute("UPDATE runs SET simulated = false")
    assert row
    return row["paid"], row["sync"]


def test_the_ledgers_own_history_is_scaled_to_what_the_schedule_starts(night: SteppedNight) -> None:
    for key in ("dag/1", "dag/2"):
        whole(night, key)
    paid, synchronous = paid_for(night.ledger)
    answer = ask(Choice.ALL_SYNC, night.ledger, night.now(), {})
    [each] = [each for each in answer.consequences if each.load.workflow == WORKFLOW]
    # Two runs in the ledger, and two slots on five days of each week.
    times = Decimal(30) * 10 / 7 / 2
    assert each.load.money.now_usd == pytest.approx(paid * times)
    assert each.then_usd == pytest.approx(synchronous * times)
    assert each.load.money.basis.startswith("2 runs of the last 30 days in the ledger, US$ ")
    assert each.load.work.requests == 3
    assert answer.batch.usual >= timedelta(seconds=60)
    assert answer.batch.basis == "the median of 2 batches in 30 days"


def test_what_a_batch_workflow_was_answered_synchronously_would_be_missing(night: SteppedNight) -> None:
    run_id = night.collected("dag/1")
    prove(night.ledger, run_id)
    # Nothing was sent before the cut-off, so that all of it was rescued.
    night.simulator.advance(30 * 3600 - 3000)
    night.through(run_id)
    paid_for(night.ledger)
    answer = ask(Choice.ALL_BATCH, night.ledger, night.now(), {WORKFLOW: 10})
    [each] = [each for each in answer.consequences if each.load.workflow == WORKFLOW]
    assert each.load.runs.value == 10
    assert each.saved_usd > 0
    assert each.breaks[0].startswith("3 answers of the last 30 days came synchronously")
    assert answer.saved_unbroken_usd == 0


def test_what_a_simulator_answered_or_is_older_than_a_month_is_no_history(night: SteppedNight) -> None:
    whole(night, "dag/1")
    simulated = ask(Choice.ALL_SYNC, night.ledger, night.now(), {})
    paid_for(night.ledger)
    old = ask(Choice.ALL_SYNC, night.ledger, night.now() + timedelta(days=31), {})
    for answer in (simulated, old):
        assert all(each.load.money.basis.startswith("ESTIMATE") for each in answer.consequences)
        assert answer.batch.basis.startswith("the API's documentation")


def test_the_command_reads_the_ledger_that_the_environment_names(night: SteppedNight) -> None:
    done = CliRunner().invoke(
        main, ["route", "--what-if", "all-sync", "--json"], env={"BACKCAST_LEDGER": night.ledger.dsn}
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["choice"] == "all-sync"
