"""PostgreSQL is killed in mid-work: nothing is sent that is not written, and it goes on when the ledger is back."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from tests.stepped_night import SteppedNight
from tests.support import WORKFLOW, prove

from backcast.domain.errors import LedgerError
from backcast.ledger.connection import Ledger
from backcast.ledger.migrate import migrate
from backcast.local.postgres import remove_postgres, running_postgres, state_folder
from backcast.services.fault_points import FaultPoint, listen
from backcast.services.open_run import open_run
from backcast.services.reconcile import Folders, finish_run
from backcast.settings import run_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POINTS = [
    FaultPoint.OPEN_PREFLIGHTED,
    FaultPoint.COLLECT_BEFORE_COMMIT,
    FaultPoint.PLAN_BEFORE_COMMIT,
    FaultPoint.SUBMIT_BEFORE_INTENT,
    FaultPoint.SUBMIT_INTENDED,
    FaultPoint.SUBMIT_CREATED,
    FaultPoint.INGEST_ROW,
    FaultPoint.INGEST_BEFORE_JUDGED,
    FaultPoint.PUBLISH_WRITTEN,
]


class MortalLedger:
    """A PostgreSQL of this test's own that can be killed and started again on the same data."""

    def __init__(self, home: Path) -> None:
        self.home, self.running = home, ExitStack()
        self.alive = False

    def start(self) -> Ledger:
        self.running.close()
        dsn = self.running.enter_context(running_postgres(self.home)).dsn("backcast")
        migrate(dsn)
        self.alive = True
        return Ledger(dsn)

    def kill(self) -> None:
        note = state_folder(self.home) / "cluster" / "data" / "postmaster.pid"
        os.kill(int(note.read_text().split()[0]), signal.SIGKILL)
        self.alive = False


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[MortalLedger]:
    ledger = MortalLedger(tmp_path / "home")
    yield ledger
    listen(None)
    ledger.running.close()
    remove_postgres(ledger.home)


@pytest.mark.parametrize("point", POINTS)
def test_a_night_whose_ledger_is_killed_goes_on_when_it_is_back(
    mortal: MortalLedger, tmp_path: Path, point: FaultPoint
) -> None:
    night = SteppedNight(mortal.start(), tmp_path)
    folders = Folders(tmp_path / "cache", tmp_path / "reports")

    def strike(reached: FaultPoint) -> None:
        if reached == point:
            listen(None)
            mortal.kill()

    def go_on() -> str:
        settings = run_settings(WORKFLOW, {"repository": str(night.repository)})
        run_id = open_run(night.ledger, night.api, night.now, settings, external_key="dag/1")
        prove(night.ledger, run_id)
        return finish_run(night.ledger, night.api, night.now, run_id, folders)

    listen(strike)
    said = ""
    while mortal.alive and not said.startswith("published"):
        try:
            said = go_on()
            night.simulator.advance(3600)
        except LedgerError:
            assert not mortal.alive
    assert not mortal.alive
    before = len(night.calls("POST"))
    for _ in range(3):
        with pytest.raises(LedgerError, match="not reachable"):
            go_on()
        night.simulator.advance(20)
    assert len(night.calls("POST")) == before
    night.ledger = mortal.start()
    for _ in range(48):
        said = go_on()
        night.simulator.advance(3600)

    assert said.startswith("published")
    run = night.row("runs", external_key="dag/1")
    assert (run["answered"], run["unanswered"]) == (3, 0)
    assert len(set(night.paid())) == len(night.paid()) == 3
    # A call that broke off in mid-body was made, too, but nothing of it was accepted.
    assert len(night.simulator._own_batches()) == 1
