"""`docker-compose.yaml` for real: up, a night, a killed scheduler, a restart, down. Run by `make compose-test`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.compose.project import Project

from backcast.labelled import load_labelled

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.compose

DAG = "nightly_tech_debt"
LONG_RUNNING = {"postgres", "simulator", "api-server", "scheduler", "dag-processor", "triggerer"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Everything up, by the one command of the README; gone afterwards."""
    project = Project(tmp_path_factory.mktemp("compose"))
    try:
        project.compose("up", "-d", "--build", seconds=1200)
        yield project
    finally:
        project.compose("down", "-v", "--remove-orphans", seconds=300, check=False)


def healthy(project: Project) -> bool:
    states = {name: one["State"] for name, one in project.containers().items() if name in LONG_RUNNING}
    return states.keys() == LONG_RUNNING and all(
        state["Status"] == "running" and state["Health"]["Status"] == "healthy" for state in states.values()
    )


def trigger(project: Project, dag_run_id: str) -> None:
    with project.airflow() as airflow:
        airflow.trigger(DAG, dag_run_id, {})


def wait_for_success(project: Project, dag_run_id: str) -> None:
    with project.airflow() as airflow:
        project.wait(lambda: airflow.run_state(DAG, dag_run_id) in ("success", "failed"), seconds=900)
        assert airflow.run_state(DAG, dag_run_id) == "success"


def check_bill(project: Project, documents: int) -> None:
    """Each document was paid for once, with the labelled ones of the first run's gate, and no request twice."""
    charges = project.simulator("/simulator/bill")["requests"]
    assert set(Counter(charge["document_sha256"] for charge in charges).values()) == {1}
    assert len(charges) == documents + len(load_labelled(DAG))
    ids = [charge["custom_id"] for charge in charges if charge["custom_id"]]
    assert len(set(ids)) == len(ids)


def test_without_secrets_nothing_starts_and_what_to_do_is_said(project: Project) -> None:
    empty = project.env_file.with_name("empty")
    empty.touch()
    refused = project.attempt("config", env_file=empty)
    assert refused.returncode != 0
    assert "run make secrets" in refused.stdout


def test_the_profile_demo_ends_with_a_report_and_says_that_no_model_was_asked(project: Project) -> None:
    project.wait(lambda: project.containers()["demo"]["State"]["Status"] == "exited", seconds=900)
    said = project.compose("logs", "--no-color", "demo")
    assert project.containers()["demo"]["State"]["ExitCode"] == 0, said
    assert "The report is published." in said
    assert "12 collected: 12 answered" in said
    assert "**No model was asked.**" in said
    check_bill(project, documents=12)


def test_everything_is_healthy_and_nothing_runs_as_root(project: Project) -> None:
    project.wait(lambda: healthy(project), seconds=120)
    users = {name: project.compose("exec", "-T", name, "id", "-u").strip() for name in LONG_RUNNING}
    assert "0" not in users.values()


def test_airflow_alone_is_published_on_loopback_alone(project: Project) -> None:
    published = {
        name: [binding["HostIp"] for bindings in ports.values() for binding in bindings or ()]
        for name, one in project.containers().items()
        if any((ports := one["NetworkSettings"]["Ports"]).values())
    }
    assert published == {"api-server": ["127.0.0.1"]}


def test_the_users_of_the_two_databases_cannot_reach_each_others(project: Project) -> None:
    for user, other in (("airflow", "backcast"), ("backcast", "airflow")):
        refused = project.attempt("exec", "-T", "postgres", "psql", "-U", user, "-d", other, "-c", "SELECT 1")
        assert "permission denied for database" in refused.stdout


def test_a_scheduler_killed_while_it_submits_pays_for_nothing_twice(project: Project) -> None:
    project.plant("second", 7)
    # Accepted at once and answered late: the scheduler dies while nobody knows yet whether the batch arrived.
    project.simulator("/simulator/faults", [{"kind": "delay", "endpoint": "create", "seconds": 20}])
    trigger(project, "killed")
    project.wait(lambda: project.simulator("/simulator/faults")["create_calls"] == 0, seconds=120)
    project.compose("kill", "-s", "KILL", "scheduler")
    project.compose("up", "-d", "--no-deps", "scheduler")
    wait_for_success(project, "killed")
    assert "19 collected: 7 answered, 12 reused" in project.report()
    check_bill(project, documents=19)


def test_runs_reports_and_batches_are_still_there_after_down_and_up(project: Project) -> None:
    report = project.report()
    bill = project.simulator("/simulator/bill")
    project.compose("down", seconds=300)
    assert project.containers() == {}
    project.compose("up", "-d", "--no-build", *sorted(LONG_RUNNING), seconds=300)
    project.wait(lambda: healthy(project), seconds=180)
    with project.airflow() as airflow:
        assert airflow.run_state(DAG, "killed") == "success"
    assert project.report() == report
    assert project.simulator("/simulator/bill") == bill
    trigger(project, "again")
    wait_for_success(project, "again")
    assert "0 answered, 19 reused" in project.report()


def test_what_would_make_every_run_fail_is_said_before_anything_starts(project: Project) -> None:
    real = ("-e", "BACKCAST_API_URL=https://api.anthropic.com")
    no_key = project.attempt("run", "--rm", "--no-deps", "-T", *real, "check")
    assert (no_key.returncode, "ANTHROPIC_API_KEY in .env is empty" in no_key.stdout) == (2, True)
    costly = project.attempt("run", "--rm", "--no-deps", "-T", *real, "demo")
    assert (costly.returncode, "Nothing was triggered" in costly.stdout) == (2, True)
    project.compose("stop", "simulator")
    no_simulator = project.attempt("run", "--rm", "--no-deps", "-T", "check")
    assert (no_simulator.returncode, "--profile demo up" in no_simulator.stdout) == (2, True)


def test_a_stop_ends_every_process_in_order(project: Project) -> None:
    project.compose("stop", seconds=300)
    ended = {name: one["State"]["ExitCode"] for name, one in project.containers().items() if name in LONG_RUNNING}
    # 143: by SIGTERM; 137 would be a kill after the time that it had.
    assert set(ended.values()) <= {0, 143}, ended


def test_down_with_volumes_leaves_nothing(project: Project) -> None:
    project.compose("down", "-v", seconds=300)
    assert project.containers() == {}
    assert project.leftovers("volume") == project.leftovers("network") == []
