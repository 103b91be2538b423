"""The commands that look at runs and act on them, against a real ledger and a simulator over HTTP."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from tests.support import API_KEY, Night, RunningSimulator, clock, commit, git

from backcast.anthropic_api.batches import RefusedError
from backcast.cli import main
from backcast.domain.errors import InDoubtError
from backcast.services.collect import collect
from backcast.services.ingest import ingest
from backcast.services.rounds import plan_round
from backcast.services.submit import submit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backcast.ledger.connection import Ledger


@pytest.fixture
def simulator(start_simulator: Any) -> RunningSimulator:
    # A simulated hour takes a real one, so that what is submitted stays in progress.
    running: RunningSimulator = start_simulator("--speed", "1")
    return running


@pytest.fixture
def night(ledger: Ledger, simulator: RunningSimulator, tmp_path: Path) -> Night:
    return Night(ledger, simulator.base_url, tmp_path)


def advance(simulator: RunningSimulator, seconds: float) -> None:
    simulator.http.post("/simulator/clock", json={"advance_seconds": seconds}).raise_for_status()


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
def planned(night: Night, tmp_path: Path) -> tuple[int, int]:
    folder = tmp_path / "repository"
    folder.mkdir()
    for number in range(3):
        (folder / f"module{number}.py").write_text(f"VALUE = {number}\n")
    git(folder, "init", "-q")
    commit(folder, "first")
    run_id = night.open("dag/1", repository=str(folder))
    collect(night.ledger, clock, run_id, cache=tmp_path)
    [batch_id] = plan_round(night.ledger, clock, run_id, 1)
    return run_id, batch_id


@pytest.fixture
def submitted(night: Night, planned: tuple[int, int]) -> int:
    run_id, batch_id = planned
    submit(night.ledger, night.api, clock, batch_id)
    return run_id


def test_status_shows_a_run_its_batches_and_its_money(backcast: Callable[..., Result], submitted: int) -> None:
    read = json.loads(backcast("status", str(submitted), "--json").stdout)

    [run], [batch] = read["runs"], read["batches"]
    assert (run["requests"], run["open"], run["documents"]) == (3, 3, 3)
    assert float(run["reserved_usd"]) > 0 == float(run["spent_usd"])
    assert (batch["state"], batch["request_count"]) == ("submitted", 3)
    text = backcast("status").stdout
    assert "nightly_tech_debt" in text
    assert batch["api_batch_id"][:20] in text.replace("\n", "")


def test_status_says_how_what_failed_went_on(backcast: Callable[..., Result], submitted: int) -> None:
    assert backcast("status", str(submitted), "--failures").stdout == "No document of this run has failed.\n"
    assert json.loads(backcast("status", str(submitted), "--failures", "--json").stdout) == {"failures": []}
    nothing = backcast("status", "--failures")
    assert nothing.exit_code == 2
    assert "--failures needs the number of a RUN" in nothing.stderr


def test_first_pass_rates_are_shown_by_language(
    backcast: Callable[..., Result], night: Night, simulator: RunningSimulator, submitted: int
) -> None:
    assert "No request has come back" in backcast("failures").stdout
    with night.ledger.connect() as connection:
        row = connection.execute("SELECT batch_id FROM batches WHERE run_id = %s", [submitted]).fetchone()
    assert row
    advance(simulator, 90000)
    ingest(night.ledger, night.api, clock, row["batch_id"])
    [rate] = json.loads(backcast("failures", "--json").stdout)["first_pass"]
    assert (rate["language"], rate["requests"], rate["accepted"], rate["rate"]) == ("python", 3, 3, 1.0)
    assert "python" in backcast("failures", "--days", "7").stdout


def test_status_of_an_empty_ledger_and_of_an_unknown_run(backcast: Callable[..., Result]) -> None:
    assert "No run is open" in backcast("status").stdout
    unknown = backcast("status", "7")
    assert (unknown.exit_code, unknown.stderr) == (
        2,
        "backcast: The ledger has no run 7. `backcast status` lists the recent ones.\n",
    )


def test_status_shows_what_the_api_said_as_it_said_it(
    backcast: Callable[..., Result], night: Night, simulator: RunningSimulator, planned: tuple[int, int]
) -> None:
    said = "requests[0] [type=wrong] :smile: [/path]"
    simulator.faults(refuse_create={"status": 400, "type": "invalid_request_error", "message": said}, times=1)
    with pytest.raises(RefusedError):
        submit(night.ledger, night.api, clock, planned[1])

    done = backcast("status")

    assert done.exit_code == 0, done.exception
    assert said in done.stdout


def test_a_number_that_no_run_can_have_is_a_usage_error(backcast: Callable[..., Result]) -> None:
    for arguments in (["status"], ["resubmit"], ["reconcile", "--finish"], ["cancel"]):
        assert backcast(*arguments, str(2**63)).exit_code == 2, arguments


def test_what_is_in_doubt_is_shown_with_its_candidates_and_sent_again_only_when_told(
    backcast: Callable[..., Result], night: Night, simulator: RunningSimulator, planned: tuple[int, int]
) -> None:
    run_id, batch_id = planned
    simulator.faults(drop_create="after", times=1)
    with pytest.raises(InDoubtError):
        submit(night.ledger, night.api, clock, batch_id)
    [doubt] = json.loads(backcast("status", "--json").stdout)["in_doubt"]
    assert (doubt["batch_id"], doubt["candidates"]) == (batch_id, [])

    assert "watched, it may be msgbatch_" in backcast("reconcile").stdout

    [doubt] = json.loads(backcast("status", "--json").stdout)["in_doubt"]
    [candidate] = doubt["candidates"]
    assert candidate in backcast("status").stdout
    assert backcast("resubmit", str(run_id)).exit_code == 2
    again = backcast("resubmit", str(run_id), "--again")
    assert again.exit_code == 0, again.output
    assert f"Batch {batch_id} is given up" in again.stdout
    assert "may be paid for twice" in again.stdout
    assert f"`backcast reconcile --finish {run_id}`" in again.stdout


def test_a_canceled_run_keeps_what_had_finished_and_is_published_without_the_rest(
    backcast: Callable[..., Result], night: Night, simulator: RunningSimulator, submitted: int
) -> None:
    [batch] = json.loads(backcast("status", "--json").stdout)["batches"]
    simulator.http.post("/simulator/settings", json={"counts": "moving"}).raise_for_status()
    # Steps that are short beside the minutes between two of the three requests, so that some are done and some not.
    while not night.api.retrieve(batch["api_batch_id"]).counts["succeeded"]:
        advance(simulator, 10)

    done = backcast("cancel", str(submitted))

    assert done.exit_code == 0, done.output
    assert "is being canceled" in done.stdout
    assert "What had finished is kept" in done.stdout
    advance(simulator, 7200)
    counts = night.api.retrieve(batch["api_batch_id"]).counts
    assert counts["succeeded"] > 0 < counts["canceled"]
    finished = backcast("reconcile", "--finish", str(submitted))
    assert finished.exit_code == 0, finished.output
    assert f"Run {submitted}: published" in finished.stdout
    with night.ledger.connect() as connection:
        rows = connection.execute("SELECT outcome, reason FROM documents").fetchall()
    assert Counter(row["outcome"] for row in rows) == {
        "answered": counts["succeeded"],
        "unanswered": counts["canceled"],
    }
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
    backcast: Callable[..., Result], simulator: RunningSimulator, submitted: int
) -> None:
    assert "Nothing was left behind." in backcast("reconcile").stdout
    assert "waits for 1 batches" in backcast("reconcile", "--finish", str(submitted)).stdout
    advance(simulator, 90000)

    assert "published" in backcast("reconcile", "--finish", str(submitted)).stdout


def test_reconcile_of_an_empty_ledger_and_of_a_run_that_is_not_there(backcast: Callable[..., Result]) -> None:
    nothing = backcast("reconcile")
    assert (nothing.exit_code, nothing.stdout) == (0, "Nothing was left behind.\n")
    problem = backcast("reconcile", "--finish", "7", "--json")
    assert problem.exit_code == 1
    assert json.loads(problem.stdout)["problems"] == ["Run 7: The ledger has no run 7."]
    assert "Run 7: The ledger has no run 7." in backcast("reconcile", "--finish", "7").stderr


def test_resubmit_says_what_it_cannot_do(backcast: Callable[..., Result], submitted: int) -> None:
    for arguments in ([], ["--again"]):
        done = backcast("resubmit", str(submitted), *arguments)
        assert done.exit_code == 2
        assert "is not held, and nothing of it is in doubt" in done.stderr


def test_a_batch_that_cannot_be_canceled_now_is_named_and_the_command_fails(
    backcast: Callable[..., Result], simulator: RunningSimulator, submitted: int
) -> None:
    simulator.http.post(
        "/simulator/faults", json={"kind": "error", "endpoint": "cancel", "status": 500, "times": 9}
    ).raise_for_status()

    done = backcast("cancel", str(submitted))

    assert done.exit_code == 1
    assert "could not be canceled" in done.stdout
    assert f"Run `backcast cancel {submitted}` again" in done.stderr
    simulator.http.post("/simulator/faults", json={}).raise_for_status()
    assert "is being canceled" in backcast("cancel", str(submitted)).stdout


def test_without_a_key_it_says_which_variable_to_set(backcast: Callable[..., Result], submitted: int) -> None:
    done = backcast("cancel", str(submitted), ANTHROPIC_API_KEY="")
    assert done.exit_code == 2
    assert "Set ANTHROPIC_API_KEY" in done.stderr
