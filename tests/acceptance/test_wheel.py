"""Into an Airflow that is there already: a wheel, a DAG file of ten lines, and a night on it."""

from __future__ import annotations

import json
import shlex
import shutil
import zipfile
from email import message_from_bytes
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.nights import DAG, RECONCILE, check_ledger_against_bill, finish, report_of, repository_of
from tests.acceptance.team import PROJECT, STOCK, Environment, Team, build_wheel, json_of, readme_block

from backcast.labelled import load_labelled
from backcast.local.environment import Ports
from backcast.local.follow import wait_for_dag
from backcast.local.options import Api, StackOptions
from backcast.local.ports import free_ports
from backcast.local.postgres import running_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support import RunningSimulator

INCLUDE = PROJECT / "include"

# What Airflow's core and its tasks see of plugins, and what is left of the schedules once DAGs were stored.
LOOK = """
import json
from airflow import plugins_manager
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import plugins_manager as of_tasks
from airflow.serialization.serialized_objects import DagSerialization
found = [manager._get_plugins() for manager in (plugins_manager, of_tasks)]
bag = DagBag()
stored = {dag_id: DagSerialization.from_dict(DagSerialization.to_dict(dag)) for dag_id, dag in bag.dags.items()}
print(json.dumps({
    "sources": [[(plugin.name, str(plugin.source)) for plugin in plugins] for plugins, _ in found],
    "errors": [errors for _, errors in found] + [bag.import_errors],
    "schedules": {dag_id: dag.timetable.summary for dag_id, dag in stored.items()},
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Iterator[Team]:
    """A team with stock Airflow that did what the README says."""
    folder, home = tmp_path_factory.mktemp("team"), tmp_path_factory.mktemp("home")
    for name in ("dags", "plugins"):
        (folder / name).mkdir()
    (folder / "dags" / "backcast.py").write_text("\n".join(readme_block("python")) + "\n")
    environment = Environment(folder / "venv")
    environment.install(*STOCK)
    before = environment.versions()
    make, pip, migrate = readme_block("sh")
    assert make == "make wheel"
    environment.install(*(wheel if word.startswith("dist/") else word for word in shlex.split(pip)[2:]))
    after = environment.versions()
    assert {name: after[name] for name in before} == before
    assert "backcast" in after.keys() - before.keys()
    options = StackOptions(project=folder, home=home, api=Api.ANTHROPIC, reports=folder / "reports")
    with running_postgres(home, ephemeral=True) as server:
        team = Team(environment, options, server, Ports(*free_ports(4)))
        team.run("bash", "-c", migrate)
        yield team


def test_the_wheel_holds_every_file_of_the_package_and_the_workflows(wheel: Path) -> None:
    files = (path.relative_to(INCLUDE) for path in INCLUDE.rglob("*") if path.is_file())
    wanted = {
        str("backcast" / path if path.parts[0] == "workflows" else path)
        for path in files
        if "__pycache__" not in path.parts and not path.parts[0].endswith(".egg-info")
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == wanted
    assert {
        "backcast/py.typed",
        "backcast/ledger/schema.sql",
        "backcast/workflows/nightly_tech_debt/schema.json",
    } < held


def test_building_the_wheel_leaves_nothing_among_the_sources(tmp_path: Path) -> None:
    # Airflow would find the metadata of an editable installation, and its entry point, a second time there.
    before = set(INCLUDE.iterdir()), set(PROJECT.iterdir())
    build_wheel(tmp_path)
    assert (set(INCLUDE.iterdir()), set(PROJECT.iterdir())) == before


def test_the_wheel_asks_for_airflow_only_with_the_extra(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        asked = message_from_bytes(archive.read(name)).get_all("Requires-Dist") or []
    airflow = [line for line in asked if line.startswith("apache-airflow")]
    assert len(airflow) == 3
    assert all(line.endswith("extra == 'airflow'") for line in airflow)


@pytest.mark.parametrize("with_the_file", [False, True])
def test_the_plugin_is_there_once_by_the_entry_point(team: Team, tmp_path: Path, *, with_the_file: bool) -> None:
    if with_the_file:
        shutil.copy(PROJECT / "plugins" / "backcast_plugin.py", tmp_path)
    plugins = {"AIRFLOW__CORE__PLUGINS_FOLDER": str(tmp_path), "BACKCAST_SCHEDULES": "true"}
    (shown,) = json_of(team.run("airflow", "plugins", "--output", "json", **plugins))
    assert shown["name"] == "backcast"
    assert shown["source"].startswith("backcast==0.1.0: EntryPoint(")
    assert shown["timetables"] == ["backcast.orchestration.timetable.BackcastTimetable"]

    seen = json_of(team.run("python", "-c", LOOK, **plugins))
    assert seen["sources"] == [[["backcast", shown["source"]]]] * 2
    assert seen["errors"] == [{}, {}, {}]
    assert seen["schedules"] == {
        DAG: "submits 30 h and 26 h before Mon-Fri 08:00 Europe/Berlin",
        RECONCILE: "0:15:00",
    }


def test_the_commands_say_what_a_wheel_cannot_know_or_do(team: Team) -> None:
    # The environment may lie in a repository, which has nothing to do with the examples in the wheel.
    (team.folder / ".git").mkdir()
    assert "Which repository is meant?" in team.run("backcast", "check", code=1)
    assert "nightly_tech_debt: submits 30 h" in team.run("backcast", "check", BACKCAST_REPOSITORY="/srv/code")
    assert "from a checkout of Backcast, with `make run`" in team.run("backcast", "night", code=2)
    assert "install backcast with its extra `simulator`" in team.run("backcast", "simulator", code=2)


def test_ten_lines_run_a_night(team: Team, tmp_path: Path, start_simulator: Callable[..., RunningSimulator]) -> None:
    assert len(readme_block("python")) <= 10
    simulator = start_simulator("--speed", "5000", "--errored-share", "0", "--expired-share", "0")
    repository = repository_of(tmp_path, "ours", 3)
    env = team.env(simulator.base_url, BACKCAST_REPOSITORY=str(repository))
    team.run("airflow", "db", "migrate")

    with team.airflow(env) as stack:
        wait_for_dag(stack, DAG)
        assert stack.airflow._get("/api/v2/plugins/importErrors")["import_errors"] == []
        stack.airflow.trigger(DAG, "ours", {})
        finish(stack, "ours")
        assert stack.airflow.import_errors(stack.since) == []

    report = report_of(stack, "ours")
    assert report["totals"] == {"collected": 3, "answered": 3, "reused": 0, "skipped": 0, "unanswered": 0}
    assert report["simulated"] is True
    # Its prompt had not passed before, so that the labelled documents of the workflow were asked about, too.
    assert len(simulator.bill()) == 3 + len(load_labelled(DAG))
    check_ledger_against_bill(stack, simulator)
    runs = json.loads(team.run("backcast", "status", "--json"))["runs"]
    (run,) = [run for run in runs if run["external_key"] == f"{DAG}/ours"]
    assert run["state"] == "published"
