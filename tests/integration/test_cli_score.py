"""`backcast score` says whether a version of a prompt is good enough, and pays for its answers once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from tests.support import API_KEY, WORKFLOW, RunningSimulator, commit, git, wait_until

from backcast.cli import main
from backcast.settings import load_prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from backcast.ledger.connection import Ledger

PROJECT = Path(__file__).resolve().parents[2]
WORSE = {"when": {"prompt_contains": "Answer as you like."}, "outcome": "malformed", "text": "Looks good to me!"}
CASES = {
    "clean": ("app/clean.py", "def add(a, b):\n    return a + b\n", "must: []"),
    "swallowed": (
        "app/read.py",
        "def read(path):\n    try:\n        return open(path).read()\n    except:\n        pass\n",
        "must:\n- {lines: [2, 5], categories: [error_handling], about: everything is swallowed}",
    ),
}


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workflow with two labelled documents and the versions v1, which is declared, and v2."""
    folder = tmp_path / "workflows" / WORKFLOW
    shutil.copytree(PROJECT / "include" / "workflows" / WORKFLOW, folder, ignore=lambda *_: ["sample"])
    for name, (path, text, labels) in CASES.items():
        (folder / "sample" / name).mkdir(parents=True)
        (folder / "sample" / name / "document.txt").write_text(text)
        (folder / "sample" / name / "expected.yaml").write_text(f"path: {path}\nabout: {name}\n{labels}\n")
    with (folder / "workflow.yaml").open("a") as file:
        file.write("rescue: {requests_per_minute: 600, tokens_per_minute: 10000000}\n")
    (folder / "prompts" / "v2.md.j2").write_text("{{ schema }} Answer as you like.")
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(folder.parent))
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    for number in range(20):
        (folder / f"module{number}.py").write_text(f"VALUE = {number}\n" * (number + 1))
    (folder / "notes.md").write_text("# Notes\n\nSome.\n")
    git(folder, "init", "-q")
    commit(folder, "first")
    return folder


@pytest.fixture
def environment(ledger: Ledger, simulator: RunningSimulator, workflow: Path) -> dict[str, str]:
    simulator.rules(WORSE)
    return {
        "BACKCAST_LEDGER": ledger.dsn,
        "BACKCAST_WORKFLOWS": str(workflow.parent),
        "ANTHROPIC_BASE_URL": simulator.base_url,
        "ANTHROPIC_API_KEY": API_KEY,
    }


@pytest.fixture
def score(environment: dict[str, str]) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(main, ["score", WORKFLOW, *map(str, arguments)], env=environment)


def test_a_good_prompt_passes_and_the_same_command_again_pays_nothing(
    score: Callable[..., Result], simulator: RunningSimulator
) -> None:
    done = score()
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith("2 of 2 accepted, precision 1.00, recall 1.00: reaches 0.9. US$ 0.0")
    [row] = [line.split() for line in done.stdout.splitlines() if "app/read.py" in line]
    assert row[1:4] == ["yes", "1/1", "0"]
    bill = simulator.bill()
    assert len(bill) == 2
    again = json.loads(score("--json").stdout)
    assert (again["passed"], again["workflow"], again["version"]) == (True, WORKFLOW, "v1")
    assert (again["prompt_hash"], again["model"]) == (load_prompt(WORKFLOW, "v1").prompt_hash, "claude-sonnet-5-5")
    assert (again["threshold"], again["accepted"], again["documents"], again["simulated"]) == (0.9, 2, 2, True)
    assert float(again["cost_usd"]) == pytest.approx(sum(charge["cost_usd"] for charge in bill))
    assert simulator.bill() == bill


def test_a_worse_prompt_does_not_reach_the_threshold_and_is_shown_why(score: Callable[..., Result]) -> None:
    done = score("--prompt", "v2")
    assert (done.exit_code, done.exception and type(done.exception)) == (1, SystemExit)
    lines = done.stdout.splitlines()
    assert "app/clean.py: malformed: the answer is not JSON" in done.stdout
    assert "    it began: 'Looks good to me!'" in lines
    assert "missed: swallowed (app/read.py), lines 2-5: error_handling: everything is swallowed" in lines
    assert lines[-1].startswith("0 of 2 accepted, precision 1.00, recall 0.00: does not reach 0.9.")
    told = json.loads(score("--prompt", "v2", "--json").stdout)
    assert (told["passed"], told["causes"], told["recall"]) == (False, {"malformed": 2}, 0)


def test_what_is_found_counts_against_the_threshold_as_what_is_accepted_does(
    score: Callable[..., Result], workflow: Path, simulator: RunningSimulator
) -> None:
    labels = workflow / "sample" / "clean" / "expected.yaml"
    labels.write_text("path: app/clean.py\nabout: clean\nmust:\n- {lines: [1, 2], about: not found by anybody}\n")
    done = score()
    assert done.exit_code == 1
    assert "2 of 2 accepted, precision 1.00, recall 0.50: does not reach 0.9" in done.stdout
    assert score("--threshold", "0.5").exit_code == 0
    assert len(simulator.bill()) == 2


def test_of_a_repository_a_sample_is_scored_too_the_same_one_each_time(
    score: Callable[..., Result], repository: Path, simulator: RunningSimulator, workflow: Path
) -> None:
    first = json.loads(score("--repository", repository, "--documents", 4, "--json").stdout)
    assert (first["documents"], first["labelled"]["documents"]) == (6, 2)
    bill = simulator.bill()
    assert len(bill) == 6
    # What nobody asks about may change.
    assert json.loads(score("--repository", repository, "--documents", 4, "--json").stdout) == first
    assert simulator.bill() == bill
    # More of them, of which some are known.
    more = json.loads(score("--repository", repository, "--json").stdout)
    assert (more["documents"], more["passed"]) == (12, True)
    assert more["reused"] >= 4
    assert len(simulator.bill()) == 6 + 12 - more["reused"]
    shutil.rmtree(workflow / "sample")
    alone = json.loads(score("--repository", repository, "--json").stdout)
    assert (alone["documents"], alone["labelled"], alone["passed"]) == (10, None, True)


def test_what_cannot_be_scored_is_told_with_what_there_is(
    score: Callable[..., Result], simulator: RunningSimulator, tmp_path: Path
) -> None:
    for arguments, told in [
        (["--prompt", "v9"], "Its versions are v1, v2."),
        (["--model", "claude-none"], "The model 'claude-none' is not known here. Choose one of "),
        (["--repository", tmp_path / "none"], "does not exist: give the path of a git repository"),
        (["--threshold", "0"], "0.0 is not in the range 0<x<=1"),
    ]:
        done = score(*arguments)
        assert (done.exit_code, told in done.stderr) == (2, True), done.stderr
    assert simulator.bill() == []


def started(environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from backcast.cli import main; main()", "score", WORKFLOW, *arguments]
    return subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE)


def test_the_same_command_twice_at_once_pays_once(
    environment: dict[str, str], simulator: RunningSimulator, repository: Path
) -> None:
    both = [started(environment, "--repository", str(repository), "--json") for _ in range(2)]
    first, second = (json.loads(process.communicate(timeout=60)[0]) for process in both)
    assert first == second
    assert (first["accepted"], first["reused"], first["left_out"]) == (12, 0, [])
    assert len(simulator.bill()) == 12


def test_killed_in_the_middle_the_same_command_goes_on(
    environment: dict[str, str], score: Callable[..., Result], simulator: RunningSimulator, repository: Path
) -> None:
    arguments = ["--repository", str(repository), "--json"]
    process = started(environment, *arguments)
    wait_until(lambda: len(simulator.bill()) >= 3)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    answered = len(simulator.bill())
    done = json.loads(score(*arguments).stdout)
    assert (done["accepted"], done["documents"]) == (12, 12)
    # At most what was under way is paid for twice.
    assert 12 <= len(simulator.bill()) <= 12 + answered - 2
    assert json.loads(score(*arguments).stdout) == done
