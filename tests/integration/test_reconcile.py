"""Runs that nobody works on are found, and several that catch up at once do it once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.stepped_night import SteppedNight
from tests.support import API_KEY, Night, clock, commit, git, prove

from backcast.services.collect import collect
from backcast.services.reconcile import IDLE_FOR, long_idle

if TYPE_CHECKING:
    from backcast.ledger.connection import Ledger


def test_a_run_is_left_when_it_was_idle_at_every_look_for_a_while(ledger: Ledger, tmp_path: Path) -> None:
    night = SteppedNight(ledger, tmp_path)
    run, other = night.collected("dag/1"), night.collected("dag/2")

    def look(*idle: int) -> list[int]:
        return long_idle(ledger, night.now, idle)

    assert look(run, other) == []
    night.simulator.advance(IDLE_FOR.total_seconds() - 1)
    assert look(run) == []
    night.simulator.advance(1)
    assert look(run, other) == [run]
    assert look() == []
    assert look(run) == []


@pytest.mark.parametrize("fault", [None, {"drop_create": "after"}])
def test_several_that_catch_up_at_once_send_once(
    ledger: Ledger, simulator: Any, tmp_path: Path, fault: dict[str, Any] | None
) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    for number in range(3):
        (folder / f"module{number}.py").write_text(f"VALUE = {number}\n")
    git(folder, "init", "-q")
    commit(folder, "first")
    night = Night(ledger, simulator.base_url, tmp_path)
    run_id = night.open("dag/1", repository=str(folder))
    collect(ledger, clock, run_id, cache=tmp_path)
    prove(ledger, run_id)
    if fault:
        simulator.faults(**fault, times=1)
    environment = {
        **os.environ,
        "BACKCAST_LEDGER": ledger.dsn,
        "BACKCAST_REPORTS": str(tmp_path / "reports"),
        "BACKCAST_HOME": str(tmp_path),
        "ANTHROPIC_API_KEY": API_KEY,
        "ANTHROPIC_BASE_URL": simulator.base_url,
    }
    command = [Path(sys.executable).with_name("backcast"), "reconcile", "--finish", str(run_id)]

    for _ in range(4):
        several = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for _ in range(3)
        ]
        said = "".join(process.communicate()[0].decode() for process in several)
        if "published" in said:
            break

    assert "Traceback" not in said, said
    assert "published" in said
    assert (
        len([call for call in simulator.log() if (call["method"], call["path"]) == ("POST", "/v1/messages/batches")])
        == 1
    )
    assert len(simulator.bill()) == 3
