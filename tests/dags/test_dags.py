"""Every DAG file parses, serialises and keeps to the project's rules."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]

# In a process of its own, since Airflow reads its configuration, and makes its database, when it is imported.
PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag(sys.argv[1])
dags = {dag_id: DagSerialization.to_dict(dag) for dag_id, dag in bag.dags.items()}
for serialized in dags.values():
    DagSerialization.from_dict(serialized)
plain = {
    dag_id: {
        "owner": dag.owner, "tags": sorted(dag.tags), "doc_md": dag.doc_md, "catchup": dag.catchup,
        "schedule": str(dag.schedule),
        "max_active_runs": dag.max_active_runs, "starts_paused": dag.is_paused_upon_creation,
        "params": {name: dag.params.get_param(name).dump() for name in dag.params},
        "tasks": {task.task_id: {"retries": task.retries, "downstream": sorted(task.downstream_task_ids),
                                 "trigger_rule": task.trigger_rule.value} for task in dag.tasks},
    } for dag_id, dag in bag.dags.items()
}
print(json.dumps({"errors": bag.import_errors, "dags": plain}, default=str))
"""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("airflow")
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(PROJECT / "dags")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def batch_dags(parsed: dict[str, Any]) -> dict[str, Any]:
    return {dag_id: dag for dag_id, dag in parsed["dags"].items() if "batch" in dag["tags"]}


def test_every_dag_file_parses_and_serialises(parsed: dict[str, Any]) -> None:
    assert parsed["errors"] == {}
    assert set(parsed["dags"]) == {"nightly_tech_debt", "reconcile_batches", "weekly_code_audit"}


def test_every_dag_says_what_it_is_and_who_owns_it(parsed: dict[str, Any]) -> None:
    for dag_id, dag in parsed["dags"].items():
        assert dag["owner"] == "backcast", dag_id
        assert "backcast" in dag["tags"], dag_id
        assert len(dag["doc_md"]) > 100, dag_id
        assert dag["catchup"] is False, dag_id


def test_every_task_of_a_batch_dag_is_tried_again(parsed: dict[str, Any]) -> None:
    for dag_id, dag in batch_dags(parsed).items():
        assert all(task["retries"] >= 1 for task in dag["tasks"].values()), dag_id


def test_every_parameter_has_a_description_and_a_schema(parsed: dict[str, Any]) -> None:
    for dag in batch_dags(parsed).values():
        assert {"repository", "ref", "include", "exclude", "max_documents", "model", "dry_run", "full"} <= set(
            dag["params"]
        )
    for dag in parsed["dags"].values():
        for name, param in dag["params"].items():
            assert param["description"], name
            assert param["schema"]["type"], name


@pytest.mark.parametrize("dag_id", ["nightly_tech_debt", "weekly_code_audit"])
def test_a_batch_dag_goes_through_its_stages_in_order(parsed: dict[str, Any], dag_id: str) -> None:
    tasks = parsed["dags"][dag_id]["tasks"]
    order = ["open_run", "collect"]
    steps = ("plan_batches", "batch.submit", "batch.wait", "batch.ingest", "batch.rescue")
    order += [f"round_1.{step}" for step in steps]
    order += ["resubmit_failures"]
    order += [f"round_2.{step}" for step in steps]
    order += ["rescue", "publish"]
    beside = [f"inherited.{step}" for step in ("wait_for_other_runs", *steps)]
    assert sorted(tasks) == sorted(order + beside)
    for before, after in [*itertools.pairwise(order), *itertools.pairwise(["collect", *beside, "rescue"])]:
        assert after in tasks[before]["downstream"], (before, after)


def test_a_round_with_nothing_to_send_does_not_stop_what_follows(parsed: dict[str, Any]) -> None:
    for dag in batch_dags(parsed).values():
        tasks = dag["tasks"]
        for name in ("resubmit_failures", "round_2.plan_batches", "inherited.plan_batches", "rescue", "publish"):
            assert tasks[name]["trigger_rule"] == "none_failed"


def test_what_was_left_behind_is_caught_up_on_every_quarter_of_an_hour_without_being_switched_on(
    parsed: dict[str, Any],
) -> None:
    dag = parsed["dags"]["reconcile_batches"]
    assert dag["schedule"] == "0:15:00"
    assert dag["starts_paused"] is False
    assert dag["max_active_runs"] == 1
    # The next run tries again; a retry would only stand beside it.
    assert dag["tasks"] == {"reconcile": {"retries": 0, "downstream": [], "trigger_rule": "all_success"}}


def test_a_dag_file_holds_no_logic() -> None:
    for file in (PROJECT / "dags").glob("*.py"):
        assert len(file.read_text().splitlines()) < 40, file
        assert "Variable" not in file.read_text(), file
