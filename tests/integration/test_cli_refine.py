"""`backcast refine` compares versions, says what it found, and promotes only what a person wants promoted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from tests.support import API_KEY, WORKFLOW, commit, git

from backcast.cli import main
from backcast.services.versions import history
from backcast.settings import workflows_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support import RunningSimulator

    from backcast.ledger.connection import Ledger


@pytest.fixture
def simulator(start_simulator: Callable[..., RunningSimulator]) -> RunningSimulator:
    return start_simulator("--speed", "50000", "--needs-example", "go")


@pytest.fixture
def backcast(ledger: Ledger, simulator: RunningSimulator, tmp_path: Path) -> Callable[..., Result]:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "a.py").write_text("VALUE = 1\n")
    for number in range(3):
        (repository / f"a{number}.go").write_text(f"package a\n\nfunc Value() int {{\n\treturn {number}\n}}\n")
    git(repository, "init", "-q")
    commit(repository, "first")
    workflows = tmp_path / "workflows"
    shutil.copytree(workflows_folder(), workflows)
    shutil.rmtree(workflows / WORKFLOW / "sample")
    with (workflows / WORKFLOW / "workflow.yaml").open("a") as file:
        # So that calls need not wait for their turn.
        file.write("rescue:\n  requests_per_minute: 6000\n  tokens_per_minute: 10000000\n")
    environment = {
        "BACKCAST_WORKFLOWS": str(workflows),
        "BACKCAST_LEDGER": ledger.dsn,
        "BACKCAST_REPORTS": str(tmp_path / "reports"),
        "BACKCAST_REPOSITORY": str(repository),
        "ANTHROPIC_BASE_URL": simulator.base_url,
        "ANTHROPIC_API_KEY": API_KEY,
    }
    return lambda *arguments: CliRunner().invoke(main, ["refine", WORKFLOW, *arguments], env=environment)


def test_the_versions_stand_side_by_side_and_the_command_that_promotes_is_told(
    backcast: Callable[..., Result], ledger: Ledger, simulator: RunningSimulator
) -> None:
    done = backcast()
    assert done.exit_code == 0, done.output
    assert "v1 (active)" in done.stdout
    assert "v1 to v2: An example of go was added" in done.stdout
    assert f"v2 is not promoted: `backcast promote {WORKFLOW} v2 --why ...` does so." in done.stdout
    report = Path(done.stdout.split("as a diff: ")[1].split()[0])
    assert report.with_name("v1-to-v2.diff").exists()
    assert history(ledger, WORKFLOW) == []

    # Asked the same once more, it pays for nothing, and promotes what it is told to.
    paid = len(simulator.bill())
    again = backcast("--promote", "--by", "ann", "--why", "It reads Go.", "--json")
    assert again.exit_code == 0, again.output
    told = json.loads(again.stdout)
    assert (told["best"], told["promoted"], told["simulated"]) == ("v2", True, True)
    assert len(simulator.bill()) == paid
    last = history(ledger, WORKFLOW)[0]
    assert (last.version, last.promoted_by, last.why) == ("v2", "ann", "It reads Go.")
    assert last.scores is not None
    assert last.scores["rate"] == 1


def test_a_best_version_below_the_threshold_ends_with_1_and_a_version_that_is_not_there_with_2(
    backcast: Callable[..., Result],
) -> None:
    compared = backcast("--iterations", "0", "--json")
    assert compared.exit_code == 1, compared.output
    told = json.loads(compared.stdout)
    assert (told["best"], told["passes"], told["promotes"], told["proposals"]) == ("v1", False, False, [])
    assert Path(told["report"]).is_absolute()
    wrong = backcast("--versions", "v1,v7")
    assert wrong.exit_code == 2
    assert "v7" in wrong.stderr
