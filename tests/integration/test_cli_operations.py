"""The commands that look at runs and act on them, against a real ledger and a simulator over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from tests.support import API_KEY, Night, clock, commit, git

from backcast.cli import main
from backcast.services.collect import collect
from backcast.services.rounds import plan_round
from backcast.services.submit import submit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backcast.ledger.connection import Ledger


@pytest.fixture
def night(ledger: Ledger, start_simulator: Any, tmp_path: Path) -> Night:
    # A simulated hour takes a real one, so that what is submitted stays in progress.
    return Night(ledger, start_simulator("--speed", "1").base_url, tmp_path)


@pytest.fixture
def backcast(night: Night, tmp_path: Path) -> Callable[..., Result]:
    environment = {
        "BACKCAST_LEDGER": night.ledger.dsn,
        "ANTHROPIC_BASE_URL": night.api.base_url,
        "ANTHROPIC_API_KEY": API_KEY,
        "BACKCAST_HOME": str(tmp_path / "home"),
        "BACKCAST_REPORTS": str(tmp_path / "reports"),
    }
    return lambda *arguments, **changes: CliRunner().invoke(main, arguments, env={**environment, **changes})


@pytest.fixture
def submitted(night: Night, tmp_path: Path) -> int:
    folder = tmp_path / "repository"
    folder.mkdir()
    for number in range(3):
        (folder / f"module{number}.py").write_text(f"VALUE = {number}\n")
    git(folder, "init", "-q")
    commit(folder, "first")
    run_id = night.open("dag/1", repository=str(folder))
    collect(night.ledger, run_id, cache=tmp_path)
    [batch_id] = plan_round(night.ledger, run_id, 1)
    submit(night.ledger, night.api, clock, batch_id)
    return run_id


def test_status_shows_a_run_its_batches_and_its_money(backcast: Callable[..., Result], submitted: int) -> None:
    read = json.loads(backcast("status", str(submitted), "--json").stdout)

    [run], [batch] = read["runs"], read["batches"]
    assert (run["requests"], run["open"], run["documents"]) == (3, 3, 3)
    assert float(run["in_flight_usd"]) > 0 == float(run["spent_usd"])
    assert (batch["state"], batch["request_count"]) == ("submitted", 3)
    text = backcast("status").stdout
    assert "nightly_tech_debt" in text
    assert batch["api_batch_id"][:20] in text.replace("\n", "")


def test_status_of_an_empty_ledger_and_of_an_unknown_run(backcast: Callable[..., Result]) -> None:
    assert "No run is open" in backcast("status").stdout
    unknown = backcast("status", "7")
    assert (unknown.exit_code, unknown.stderr) == (
        2,
        "backcast: The ledger has no run 7. `backcast status` lists the recent ones.\n",
    )


def test_a_canceled_run_keeps_what_had_finished_and_is_published_without_the_rest(
    backcast: Callable[..., Result], night: Night, submitted: int
) -> None:
    done = backcast("cancel", str(submitted))
    assert done.exit_code == 0, done.output
    assert "is being canceled" in done.stdout
    night.api._client.post("/simulator/clock", cast_to=object, body={"advance_seconds": 7200})  # type: ignore[type-var]

    finished = backcast("reconcile", "--finish", str(submitted))

    assert finished.exit_code == 0, finished.output
    assert f"Run {submitted}: published" in finished.stdout
    with night.ledger.connect() as connection:
        rows = connection.execute("SELECT outcome, reason FROM documents").fetchall()
    assert {row["outcome"] for row in rows} <= {"answered", "unanswered"}
    assert all("canceled" in row["reason"] for row in rows if row["outcome"] == "unanswered")
    again = backcast("cancel", str(submitted))
    assert (again.exit_code, "its outcomes are frozen" in again.stderr) == (2, True)


def test_one_batch_is_canceled_by_its_id_and_a_stranger_is_not(
    backcast: Callable[..., Result], night: Night, submitted: int
) -> None:
    [batch] = json.loads(backcast("status", str(submitted), "--json").stdout)["batches"]
    assert "is being canceled" in backcast("cancel", batch["api_batch_id"]).stdout
    assert night.api.retrieve(batch["api_batch_id"]).cancel_initiated_at is not None
    for wrong in ("msgbatch_of_somebody_else", "nonsense"):
        assert backcast("cancel", wrong).exit_code == 2


def test_reconcile_finishes_a_run_that_was_left_after_its_submission(
    backcast: Callable[..., Result], night: Night, submitted: int
) -> None:
    assert "Nothing was left behind." in backcast("reconcile").stdout
    assert "waits for 1 batches" in backcast("reconcile", "--finish", str(submitted)).stdout
    night.api._client.post("/simulator/clock", cast_to=object, body={"advance_seconds": 90000})  # type: ignore[type-var]

    assert "published" in backcast("reconcile", "--finish", str(submitted)).stdout


def test_resubmit_says_what_it_cannot_do(backcast: Callable[..., Result], submitted: int) -> None:
    for arguments, hint in (([], "--again"), (["--again"], "nothing of it is in doubt")):
        done = backcast("resubmit", str(submitted), *arguments)
        assert done.exit_code == 2
        assert hint in done.stderr


def test_without_a_key_it_says_which_variable_to_set(backcast: Callable[..., Result], submitted: int) -> None:
    done = backcast("cancel", str(submitted), ANTHROPIC_API_KEY="")
    assert done.exit_code == 2
    assert "Set ANTHROPIC_API_KEY" in done.stderr
