"""Every DAG file parses, serialises and keeps to the project's rules."""

from __future__ import annotations

import itertools
import json
import os
import shutil
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
read = {dag_id: DagSerialization.from_dict(serialized) for dag_id, serialized in dags.items()}
plain = {
    dag_id: {
        "summary": read[dag_id].timetable.summary,
        "deadlines": [(alert.reference.reference_name, alert.interval.total_seconds(), alert.callback.path,
                       alert.callback.kwargs) for alert in dag.deadline or []],
        "owner": dag.owner, "tags": sorted(dag.tags), "doc_md": dag.doc_md, "catchup": dag.catchup,
        "schedule": str(dag.schedule),
        "max_active_runs": dag.max_active_runs, "starts_paused": dag.is_paused_upon_creation,
        "weights": sorted({(task.priority_weight, str(task.weight_rule)) for task in dag.tasks}),
        "params": {name: dag.params.get_param(name).dump() for name in dag.params},
        "tasks": {task.task_id: {"retries": task.retries, "downstream": sorted(task.downstream_task_ids),
                                 "trigger_rule": task.trigger_rule.value} for task in dag.tasks},
        "asks": {task.task_id: {"options": task.options, "if_nobody_answers": task.defaults,
                                "within": task.response_timeout.total_seconds()}
                 for task in dag.tasks if hasattr(task, "response_timeout")},
    } for dag_id, dag in bag.dags.items()
}
from airflow import plugins_manager
print(json.dumps({
    "errors": bag.import_errors, "dags": plain, "plugin_errors": plugins_manager.get_import_errors(),
    "registered": [*plugins_manager.get_timetables_plugins(), *plugins_manager.get_deadline_references_plugins()],
}, default=str))
"""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return parse(tmp_path_factory.mktemp("airflow"))


def parse(home: Path, dags: Path = PROJECT / "dags", **settings: str) -> dict[str, Any]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BACKCAST_")},
        **settings,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(dags)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


RESCUES = ("rescue", "rescue_inherited")


def batch_dags(parsed: dict[str, Any]) -> dict[str, Any]:
    return {dag_id: dag for dag_id, dag in parsed["dags"].items() if "batch" in dag["tags"]}


def test_every_dag_file_parses_and_serialises(parsed: dict[str, Any]) -> None:
    assert parsed["errors"] == {}
    assert set(parsed["dags"]) == {
        "dependency_advice",
        "document_extraction",
        "nightly_tech_debt",
        "nightly_test_generation",
        "pre_merge_review",
        "reconcile_batches",
        "refine_prompt",
        "weekly_code_audit",
    }


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
    for dag_id, dag in batch_dags(parsed).items():
        assert {
            *(["path"] if dag_id == "document_extraction" else ["repository", "ref"]),
            "include",
            "exclude",
            "max_documents",
            "model",
            "prompt",
            "deadline",
            "dry_run",
            "full",
        } <= set(dag["params"])
    for dag in parsed["dags"].values():
        for name, param in dag["params"].items():
            assert param["description"], name
            assert param["schema"]["type"], name


@pytest.mark.parametrize(
    "dag_id", ["document_extraction", "nightly_tech_debt", "nightly_test_generation", "weekly_code_audit"]
)
def test_a_batch_dag_goes_through_its_stages_in_order(parsed: dict[str, Any], dag_id: str) -> None:
    # Only one whose workflow declares checks has their stages.
    check, check_last = (["run_proposed_tests"], ["run_last_tests"]) if "test" in dag_id else ([], [])
    tasks = parsed["dags"][dag_id]["tasks"]
    order = ["open_run", "collect", "gate"]
    steps = ("plan_batches", "batch.submit", "batch.wait", "batch.ingest", "batch.rescue")
    order += [f"round_1.{step}" for step in steps]
    order += [*check, "resubmit_failures"]
    order += [f"round_2.{step}" for step in steps]
    # Only the audit's findings are checked.
    checks = ["check_findings"] if dag_id == "weekly_code_audit" else []
    order += ["rescue", "rescue_inherited", *check_last, *checks, "publish"]
    beside = [f"inherited.{step}" for step in ("wait_for_other_runs", "gate", *steps)]
    assert sorted(tasks) == sorted(order + beside)
    for before, after in [*itertools.pairwise(order), *itertools.pairwise(["collect", *beside, "rescue_inherited"])]:
        assert after in tasks[before]["downstream"], (before, after)


def test_checks_go_on_whatever_was_skipped_before_them(parsed: dict[str, Any]) -> None:
    tasks = parsed["dags"]["nightly_test_generation"]["tasks"]
    assert {tasks[name]["trigger_rule"] for name in ("run_proposed_tests", "run_last_tests")} == {"none_failed"}


def test_a_round_with_nothing_to_send_does_not_stop_what_follows(parsed: dict[str, Any]) -> None:
    for dag in batch_dags(parsed).values():
        tasks = dag["tasks"]
        for name in (
            "gate",
            "inherited.gate",
            "resubmit_failures",
            "round_2.plan_batches",
            "inherited.plan_batches",
            "publish",
            *RESCUES,
            *({"check_findings"} & {*tasks}),
        ):
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


def test_a_prompt_is_promoted_only_after_a_person_approved(parsed: dict[str, Any]) -> None:
    dag = parsed["dags"]["refine_prompt"]
    assert dag["schedule"] == "None"
    names = dag["params"]["workflow"]["schema"]["enum"]
    assert {"nightly_tech_debt", "weekly_code_audit"} <= set(names)
    tasks = dag["tasks"]
    assert sorted(tasks) == ["approve", "conclude", "promote", "refine"]
    assert tasks["promote"]["trigger_rule"] == "all_success"
    assert "promote" in tasks["approve"]["downstream"]
    assert "approve" in tasks["refine"]["downstream"]
    # Whatever was decided is said.
    assert tasks["promote"]["downstream"] == ["conclude"]
    assert tasks["conclude"]["trigger_rule"] == "none_failed"
    three_days = 3 * 86_400
    asked = {"options": ["Approve", "Reject"], "if_nobody_answers": ["Reject"], "within": three_days}
    assert dag["asks"] == {"approve": asked}


def test_how_long_an_approval_may_take_can_be_told(tmp_path: Path) -> None:
    parsed = parse(tmp_path, BACKCAST_APPROVAL_TIMEOUT="90m")
    assert parsed["errors"] == {}
    assert parsed["dags"]["refine_prompt"]["asks"]["approve"]["within"] == 5400


def test_a_review_is_one_task_that_starts_only_when_somebody_asks_and_is_not_paid_for_again_by_itself(
    parsed: dict[str, Any],
) -> None:
    dag = parsed["dags"]["pre_merge_review"]
    assert (dag["schedule"], dag["starts_paused"], dag["deadlines"]) == ("None", False, [])
    assert dag["tags"] == ["backcast", "synchronous"]
    assert dag["tasks"] == {"review": {"retries": 0, "downstream": [], "trigger_rule": "all_success"}}
    assert set(dag["params"]) == {"repository", "base", "head", "fail_on", "model", "prompt", "max_usd"}


def test_advice_is_one_task_that_starts_by_itself_as_long_before_it_is_due_as_it_may_take(
    parsed: dict[str, Any],
) -> None:
    dag = parsed["dags"]["dependency_advice"]
    assert (dag["summary"], dag["starts_paused"]) == ("0 6 * * 1", None)
    assert "`0 6 * * 1` (Europe/Berlin), to be there Mon 06:30 Europe/Berlin" in dag["doc_md"]
    assert "must run list_versions, read_file, search in mid-answer" in dag["doc_md"]
    assert dag["tags"] == ["backcast", "synchronous"]
    assert dag["tasks"] == {"advise": {"retries": 0, "downstream": [], "trigger_rule": "all_success"}}
    assert set(dag["params"]) == {"repository", "ref", "model", "prompt", "max_usd"}


def test_a_report_is_submitted_at_the_slots_that_its_due_time_leaves(parsed: dict[str, Any]) -> None:
    dag = parsed["dags"]["nightly_tech_debt"]
    assert dag["summary"] == "submits 30 h and 26 h before Mon-Fri 08:00 Europe/Berlin"
    assert dag["summary"] in dag["doc_md"]
    # Four overlap; runs by hand must not keep them from starting.
    assert dag["max_active_runs"] == 8


def test_proposed_tests_are_there_at_seven(parsed: dict[str, Any]) -> None:
    dag = parsed["dags"]["nightly_test_generation"]
    assert dag["summary"] == "submits 30 h and 26 h before Mon-Fri 07:00 Europe/Berlin"
    assert "checked before it is offered" in dag["doc_md"]


def test_documents_are_taken_in_every_four_hours_from_a_folder_that_the_form_may_change(parsed: dict[str, Any]) -> None:
    dag = parsed["dags"]["document_extraction"]
    assert dag["summary"] == "submits every 4 h, each document answered within 30 h"
    assert "another folder" in dag["doc_md"]
    assert not {"repository", "ref"} & set(dag["params"])
    # Seven overlap; runs by hand must not keep them from starting.
    assert dag["max_active_runs"] == 11


def test_an_alert_comes_before_each_deadline_and_at_it(parsed: dict[str, Any]) -> None:
    callback = "backcast.orchestration.alerting.alert"
    assert parsed["dags"]["nightly_tech_debt"]["deadlines"] == [
        ["BackcastDeadline", -3000, callback, {"kind": "deadline_at_risk"}],
        ["BackcastDeadline", 0, callback, {"kind": "deadline_missed"}],
    ]


def test_the_plugin_registers_what_serialised_dags_name(parsed: dict[str, Any]) -> None:
    assert parsed["plugin_errors"] == {}
    assert parsed["registered"] == [
        "backcast.orchestration.timetable.BackcastTimetable",
        "backcast.orchestration.deadlines.BackcastDeadline",
    ]
    # Airflow runs every file below this folder under its bare name.
    assert [file.name for file in (PROJECT / "plugins").rglob("*.py")] == ["backcast_plugin.py"]


def test_a_dag_whose_sla_cannot_hold_loads_without_a_schedule_and_says_why(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "include" / "workflows", tmp_path / "workflows")
    file = tmp_path / "workflows" / "nightly_tech_debt" / "workflow.yaml"
    file.write_text(file.read_text().replace("sla: 30h", "sla: 24h"))
    parsed = parse(tmp_path, BACKCAST_WORKFLOWS=str(tmp_path / "workflows"))
    assert parsed["errors"] == {}
    dag = parsed["dags"]["nightly_tech_debt"]
    assert dag["schedule"] == "None"
    assert "An SLA of 24 h cannot hold" in dag["doc_md"]


def test_advice_whose_workflow_is_wrong_breaks_its_own_dag_only_which_says_why(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "include" / "workflows", tmp_path / "workflows")
    file = tmp_path / "workflows" / "dependency_advice" / "workflow.yaml"
    file.write_text(file.read_text() + "every: 1d\n")
    parsed = parse(tmp_path, BACKCAST_WORKFLOWS=str(tmp_path / "workflows"))
    assert parsed["errors"] == {}
    dag = parsed["dags"]["dependency_advice"]
    assert (dag["schedule"], dag["tags"]) == ("None", ["backcast", "broken", "synchronous"])
    assert "every: client_tools says that somebody must run list_versions" in dag["doc_md"]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A workflow that was just made, an important one, one with a mistake, and one for which somebody waits."""
    home = tmp_path_factory.mktemp("mixed")
    workflows, dags = home / "workflows", home / "dags"
    shutil.copytree(PROJECT / "include" / "workflows", workflows)
    dags.mkdir()
    command = "from backcast.cli import main; main()"
    backcast = [sys.executable, "-c", command, "new-workflow", "--dags", str(dags)]
    for name in ("made", "important", "mistaken", "waited_for"):
        environment = {**os.environ, "BACKCAST_WORKFLOWS": str(workflows)}
        subprocess.run([*backcast, name], env=environment, check=True, capture_output=True)
    for name, line, instead in (
        ("important", "sla: 30h", "sla: 30h\npriority: 5"),
        ("mistaken", "sla: 30h", "slaa: 30h"),
        ("waited_for", "due: Mon-Fri 08:00 Europe/Berlin", "blocking: true"),
    ):
        file = workflows / name / "workflow.yaml"
        file.write_text(file.read_text().replace(line, instead))
    return parse(home, dags, BACKCAST_WORKFLOWS=str(workflows))


def test_a_workflow_that_was_just_made_has_a_dag_like_any_other(mixed: dict[str, Any], parsed: dict[str, Any]) -> None:
    made, shipped = mixed["dags"]["made"], parsed["dags"]["nightly_tech_debt"]
    assert made["tasks"] == shipped["tasks"]
    assert made["summary"] == shipped["summary"]
    assert made["tags"] == ["backcast", "batch"]


def test_a_broken_workflow_breaks_its_own_dag_only_which_says_why(mixed: dict[str, Any]) -> None:
    # With an import error instead, Airflow would stop to work on its runs, whose batches are paid for.
    assert mixed["errors"] == {}
    assert set(mixed["dags"]) == {"made", "important", "mistaken", "waited_for"}
    broken = {name: dag for name, dag in mixed["dags"].items() if "broken" in dag["tags"]}
    assert set(broken) == {"mistaken", "waited_for"}
    assert {dag["schedule"] for dag in broken.values()} == {"None"}
    assert "mistaken/workflow.yaml:5: 'slaa' is no key here. Did you mean 'sla'?" in broken["mistaken"]["doc_md"]
    assert "waited_for is not for batches. Somebody waits, at most 30 h" in broken["waited_for"]["doc_md"]
    assert broken["mistaken"]["tasks"] == mixed["dags"]["made"]["tasks"]


def test_tasks_of_a_higher_priority_go_first_whatever_comes_after_them(mixed: dict[str, Any]) -> None:
    assert mixed["dags"]["important"]["weights"] == [[6, "absolute"]]
    assert mixed["dags"]["made"]["weights"] == [[1, "absolute"]]


def test_schedules_can_be_switched_off_but_not_the_watch_over_what_was_sent(tmp_path: Path) -> None:
    parsed = parse(tmp_path, BACKCAST_SCHEDULES="false")
    assert parsed["errors"] == {}
    assert parsed["dags"]["nightly_tech_debt"]["schedule"] == "None"
    assert parsed["dags"]["dependency_advice"]["schedule"] == "None"
    assert "switched off" in parsed["dags"]["dependency_advice"]["doc_md"]
    assert "switched off" in parsed["dags"]["nightly_tech_debt"]["doc_md"]
    assert parsed["dags"]["reconcile_batches"]["schedule"] == "0:15:00"


def test_a_dag_file_holds_no_logic() -> None:
    for file in (PROJECT / "dags").glob("*.py"):
        assert len(file.read_text().splitlines()) < 50, file
        assert "Variable" not in file.read_text(), file
