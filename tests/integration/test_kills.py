"""A night whose process is killed at every fault point ends as one that was never killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import commit, git

from backcast.labelled import load_labelled
from backcast.sandbox.running import isolation_here
from backcast.services.fault_points import FaultPoint

if TYPE_CHECKING:
    from backcast.ledger.connection import Ledger

PROJECT = Path(__file__).resolve().parents[2]
MOST_DEATHS = len(FaultPoint) + 1
# Where every one of these nights dies; the others are those of what fails beside.
AT_THE_CUT_OFF = {point for point in FaultPoint if point.value.startswith(("cut_off", "rescue.call", "rescue.answer"))}
# Only the findings of an audit are checked, and only proposed tests are run.
OF_CHECKS = {point for point in FaultPoint if point.value.startswith("check")}
OF_PROPOSED_TESTS = {point for point in FaultPoint if point.value.startswith("tests")}
ALWAYS = (
    set(FaultPoint)
    - AT_THE_CUT_OFF
    - OF_CHECKS
    # Only a run that was not proved before has a sample.
    - {FaultPoint.GATE_JUDGED}
    - OF_PROPOSED_TESTS
    - {FaultPoint.SUBMIT_CREATED, FaultPoint.SUBMIT_CONFIRMED, FaultPoint.SUBMIT_REFUSED, FaultPoint.SUBMIT_IN_DOUBT}
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    # Long enough for the body to be sent in several pieces.
    (folder / "long.py").write_text("".join(f"VALUE_{number} = {number}\n" for number in range(6000)))
    (folder / "short.py").write_text("VALUE = 1\n")
    git(folder, "init", "-q")
    commit(folder, "first")
    return folder


@pytest.mark.parametrize(
    ("fault", "special"),
    [
        pytest.param(None, FaultPoint.SUBMIT_CONFIRMED, id="nothing else fails"),
        pytest.param({"drop_create": "after"}, FaultPoint.SUBMIT_IN_DOUBT, id="answer lost"),
        pytest.param({"drop_create": "before"}, FaultPoint.SUBMIT_IN_DOUBT, id="request lost"),
        pytest.param(
            {"refuse_create": {"status": 402, "type": "billing_error", "message": "no credit"}},
            FaultPoint.SUBMIT_REFUSED,
            id="refused",
        ),
    ],
)
def test_killed_at_every_point_it_pays_once_and_loses_nothing(  # noqa: PLR0913, PLR0917  fixtures and the case
    ledger: Ledger,
    simulator: Any,
    repository: Path,
    tmp_path: Path,
    fault: dict[str, Any] | None,
    special: FaultPoint,
) -> None:
    # The second round is what reaches the point after a create that went well.
    simulator.rules({"match": 'path="short.py"', "attempts": [1], "outcome": "errored", "error_type": "api_error"})
    (tmp_path / "minutes").write_text("0")
    (tmp_path / "died-at").touch()
    command = [sys.executable, "-m", "tests.integration.mortal_night"]
    arguments = [ledger.dsn, simulator.base_url, str(repository), str(tmp_path), "30h", "proved"]
    for _ in range(MOST_DEATHS):
        survived = (tmp_path / "died-at").read_text()
        # The fault is for the one create call that is not killed before its end.
        if fault and "submit.sending" in survived and not {special, "submit.created"} & set(survived.split()):
            simulator.faults(**fault, times=1)
        done = subprocess.run([*command, *arguments], cwd=PROJECT, check=False, timeout=120)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert done.returncode == 0

    deaths = {FaultPoint(name) for name in (tmp_path / "died-at").read_text().split()}
    assert deaths >= ALWAYS | {special}
    paid = Counter(charge["document_sha256"] for charge in simulator.bill())
    assert sorted(paid.values()) == [1, 1]
    with ledger.connect() as connection:
        outcomes = connection.execute("SELECT outcome FROM documents ORDER BY path").fetchall()
        stored = connection.execute("SELECT wire_id FROM results ORDER BY wire_id").fetchall()
    assert [row["outcome"] for row in outcomes] == ["answered", "answered"]
    assert {row["wire_id"] for row in stored} >= {charge["custom_id"] for charge in simulator.bill()}


def test_killed_at_every_point_of_a_cut_off_it_is_in_time_and_pays_again_at_most_for_what_was_in_flight(
    ledger: Ledger, start_simulator: Any, repository: Path, tmp_path: Path
) -> None:
    simulator = start_simulator("--speed", "60")
    # It ends only after the 24 hours of the simulator's clock.
    simulator.rules({"attempts": [1], "outcome": "expired"})
    (tmp_path / "minutes").write_text("0")
    (tmp_path / "died-at").write_text("".join(f"{point}\n" for point in set(FaultPoint) - AT_THE_CUT_OFF))
    arguments = [ledger.dsn, simulator.base_url, str(repository), str(tmp_path), "90m", "proved"]
    for _ in range(MOST_DEATHS):
        command = [sys.executable, "-m", "tests.integration.mortal_night", *arguments]
        done = subprocess.run(command, cwd=PROJECT, check=False, timeout=120)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert done.returncode == 0

    assert {FaultPoint(name) for name in (tmp_path / "died-at").read_text().split()} == set(FaultPoint)
    paid = Counter(charge["document_sha256"] for charge in simulator.bill())
    with ledger.connect() as connection:
        outcomes = connection.execute("SELECT outcome FROM documents ORDER BY path").fetchall()
        states = Counter(row["state"] for row in connection.execute("SELECT state FROM calls").fetchall())
        run = connection.execute("SELECT * FROM runs").fetchone() or {}
    assert [row["outcome"] for row in outcomes] == ["answered", "answered"]
    assert run["published_at"] < run["deadline"]
    assert states["answered"] == 2
    assert paid.total() <= 2 + states["lost"]


def test_killed_at_every_point_of_a_gate_it_pays_again_at_most_for_what_was_in_flight(
    ledger: Ledger, simulator: Any, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "minutes").write_text("0")
    (tmp_path / "died-at").touch()
    arguments = [ledger.dsn, simulator.base_url, str(repository), str(tmp_path), "30h", "unproved"]
    for _ in range(MOST_DEATHS):
        command = [sys.executable, "-m", "tests.integration.mortal_night", *arguments]
        done = subprocess.run(command, cwd=PROJECT, check=False, timeout=120)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert done.returncode == 0

    deaths = {FaultPoint(name) for name in (tmp_path / "died-at").read_text().split()}
    assert deaths >= {point for point in FaultPoint if point.value.startswith(("gate", "rescue"))}
    with ledger.connect() as connection:
        outcomes = connection.execute(
            "SELECT outcome FROM documents JOIN runs USING (run_id) WHERE kind = 'documents'"
        ).fetchall()
        lost = connection.execute("SELECT count(*) AS count FROM calls WHERE state = 'lost'").fetchone() or {}
        gates = connection.execute("SELECT verdict, scores ->> 'accepted' AS accepted FROM gates").fetchall()
        batches = connection.execute("SELECT count(*) AS count FROM batches").fetchone() or {}
    assert [row["outcome"] for row in outcomes] == ["answered", "answered"]
    assert gates == [{"verdict": "passed", "accepted": "2"}]
    # The sample is the whole run, so nothing is left for a batch.
    assert batches["count"] == 0
    assert len(simulator.bill()) <= 2 + len(load_labelled("nightly_tech_debt")) + lost["count"]


def test_killed_at_every_point_where_tests_are_run_it_pays_once_and_offers_what_passes(
    ledger: Ledger, start_simulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isolation_here().missing:
        monkeypatch.setenv("BACKCAST_TESTS_SANDBOX", "limits")
    monkeypatch.setenv("BACKCAST_RUN_TESTS", "true")
    simulator = start_simulator("--speed", "50000", "--faulty-tests", "0")
    wrong = json.dumps({"tests": [{"content": "def test_one():\n    assert not 1\n", "covers": []}], "note": ""})
    simulator.rules({"match": 'path="wrong.py"', "attempts": [1], "outcome": "answer", "text": wrong})
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in ("right", "wrong"):
        (folder / f"{name}.py").write_text(f"NAME = '{name}'\n")
    git(folder, "init", "-q")
    commit(folder, "first")
    (tmp_path / "minutes").write_text("0")
    (tmp_path / "died-at").write_text("".join(f"{point}\n" for point in set(FaultPoint) - OF_PROPOSED_TESTS))
    arguments = [ledger.dsn, simulator.base_url, str(folder), str(tmp_path), "30h", "proved", "nightly_test_generation"]
    for _ in range(MOST_DEATHS):
        command = [sys.executable, "-m", "tests.integration.mortal_night", *arguments]
        done = subprocess.run(command, cwd=PROJECT, check=False, timeout=120)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert done.returncode == 0

    with ledger.connect() as connection:
        checks = connection.execute(
            "SELECT path, test_runs.verdict FROM test_runs JOIN results USING (result_id) "
            "JOIN requests USING (request_id) JOIN documents USING (document_id) ORDER BY test_runs.checked_at, path"
        ).fetchall()
        run = connection.execute("SELECT * FROM runs").fetchone() or {}
    if {row["verdict"] for row in checks} == {"not_run"}:
        pytest.skip("no test can be run in a sandbox here")
    assert {FaultPoint(name) for name in (tmp_path / "died-at").read_text().split()} == set(FaultPoint)
    # The one that failed went again, and what passed was run once.
    assert Counter((row["path"], row["verdict"]) for row in checks) == {
        ("right.py", "passed"): 1,
        ("wrong.py", "failed"): 1,
        ("wrong.py", "passed"): 1,
    }
    assert len(simulator.bill()) == 3
    report = json.loads(Path(run["report_path"]).with_suffix(".json").read_bytes())
    assert [one["document"] for one in report["offered"]] == ["right.py", "wrong.py"]
