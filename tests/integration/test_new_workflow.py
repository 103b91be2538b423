"""A workflow that `backcast new-workflow` makes is whole, and runs a night at once."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from tests.stepped_night import SteppedNight
from tests.support import git, prove

from backcast.cli import main
from backcast.services.collect import collect
from backcast.services.gate import gate
from backcast.services.ingest import ingest
from backcast.services.new_workflow import way_to_schema
from backcast.services.open_run import open_run
from backcast.services.publish import publish
from backcast.services.rounds import plan_round
from backcast.services.waiting import awaited_batch
from backcast.settings import load_workflow, run_settings, schema_file, workflow_file, workflows_folder
from backcast_simulator.outcomes import Odds
from backcast_simulator.settings import Settings
from backcast_simulator.weather import WEATHERS

if TYPE_CHECKING:
    from backcast.ledger.connection import Ledger

DOCUMENTS = 15


@pytest.fixture
def dags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for DAG files, beside workflows of this test's own."""
    shutil.copytree(workflows_folder(), tmp_path / "workflows")
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(tmp_path / "workflows"))
    git(tmp_path, "init", "-q")
    (tmp_path / "dags").mkdir()
    return tmp_path / "dags"


def new(name: str, dags: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["new-workflow", name, "--dags", str(dags), *arguments])


def test_what_is_made_passes_the_check_and_its_dag_file_is_short(dags: Path) -> None:
    done = new("license_review", dags, "--like", "weekly_code_audit")
    assert done.exit_code == 0, done.output
    folder = workflow_file("license_review").parent
    prompts = ["check.finding.md.j2", "check.md.j2", "document.md.j2", "v1.md.j2"]
    files = [*(f"prompts/{name}" for name in prompts), "schema.json", "workflow.yaml"]
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == files
    assert all(file in done.stdout for file in files)
    assert len((dags / "license_review.py").read_text().splitlines()) <= 10
    declared = load_workflow("license_review")
    assert (declared["name"], declared["slots"], declared["report"]["first"]) == ("license_review", 1, "worst")
    checked = CliRunner().invoke(main, ["check"])
    assert checked.exit_code == 0, checked.output
    assert "license_review: submits 72 h before Mon 08:00 Europe/Berlin" in checked.stdout
    assert list(folder.parent.glob(".new-*")) == []


def test_what_is_made_runs_a_night_to_its_report(dags: Path, ledger: Ledger, tmp_path: Path) -> None:
    assert new("nightly_again", dags).exit_code == 0
    night = SteppedNight(ledger, tmp_path, DOCUMENTS)
    settings = run_settings("nightly_again", {"repository": str(night.repository)})
    run_id = open_run(ledger, night.api, night.now, settings, external_key="nightly_again/1")
    collect(ledger, night.now, run_id, cache=tmp_path)
    gate(ledger, night.api, night.now, run_id, pause=night.pause)
    run = night.through(run_id)
    assert (run["workflow"], run["state"], run["answered"], run["unanswered"]) == (
        "nightly_again",
        "published",
        DOCUMENTS,
        0,
    )
    assert {charge["kind"] for charge in night.simulator.bill()["requests"]} == {"synchronous", "batch"}
    assert "reports/nightly_again/" in run["report_path"]


def test_one_that_is_opportunistic_tries_a_batch_and_is_on_time_without_it(
    dags: Path, ledger: Ledger, tmp_path: Path
) -> None:
    assert new("tried", dags).exit_code == 0
    file = workflow_file("tried")
    file.write_text(file.read_text().replace("sla: 30h", "sla: 3h\nopportunistic: true"))
    # Every batch takes its 24 hours and brings nothing.
    night = SteppedNight(ledger, tmp_path, 4, Settings(odds=Odds(weather=WEATHERS["all-expire"])))
    settings = run_settings("tried", {"repository": str(night.repository)})
    run_id = open_run(ledger, night.api, night.now, settings, external_key="tried/1")
    collect(ledger, night.now, run_id, cache=tmp_path)
    prove(ledger, run_id)
    [batch_id] = plan_round(ledger, night.now, run_id, 1)
    night.submit(batch_id)
    assert night.row("batches", batch_id=batch_id)["state"] == "submitted"
    assert night.cancel_at(batch_id) - night.now() > timedelta(hours=2)
    sent = night.row("batches", batch_id=batch_id)["api_batch_id"]
    while night.api.retrieve(sent).ended_at is None:
        awaited_batch(ledger, night.api, night.now, batch_id)
        night.simulator.advance(60)
    ingest(ledger, night.api, night.now, batch_id)
    night.rescue(run_id)
    publish(ledger, night.now, run_id, reports=tmp_path / "reports")
    run = night.row("runs", run_id=run_id)
    assert (run["state"], run["answered"], run["unanswered"]) == ("published", 4, 0)
    assert run["published_at"] <= run["deadline"] == run["opened_at"] + timedelta(hours=3)


def test_an_editor_is_led_to_the_schema_wherever_the_workflow_is(dags: Path) -> None:
    assert new("mine", dags).exit_code == 0
    first = workflow_file("mine").read_text().splitlines()[0]
    assert Path(first.removeprefix("# yaml-language-server: $schema=")).samefile(schema_file())
    shipped = schema_file().parent.parent / "workflows" / "mine"
    assert way_to_schema(shipped) == "../../backcast/workflow.schema.json"


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("nightly_tech_debt", [], "nightly_tech_debt is there already"),
        ("reconcile_batches", [], "reconcile_batches.py is there already"),
        ("Nightly", [], "'Nightly' cannot be a workflow's name"),
        ("../up", [], "cannot be a workflow's name"),
        ("a" * 61, [], "write at most 60 of a-z, 0-9 and _"),
        ("mine", ["--like", "nobody"], "There is no workflow 'nobody' to begin with. There are "),
        ("mine", ["--dags", "/nonexistent"], "/nonexistent is no folder"),
        ("mine", ["--like", "waited_for"], "waited_for is asked synchronously"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(
    dags: Path, name: str, arguments: list[str], said: str
) -> None:
    (dags / "reconcile_batches.py").touch()
    shutil.copytree(workflow_file("nightly_tech_debt").parent, workflows_folder() / "waited_for")
    file = workflow_file("waited_for")
    text = file.read_text().replace("name: nightly_tech_debt", "name: waited_for\nblocking: true")
    file.write_text(text.replace("due: Mon-Fri 08:00 Europe/Berlin\n", ""))
    before = sorted(workflows_folder().rglob("*"))
    done = new(name, dags, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert sorted(workflows_folder().rglob("*")) == before
    assert [path.name for path in dags.iterdir()] == ["reconcile_batches.py"]
