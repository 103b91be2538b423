"""Parameters win over the environment, which wins over workflow.yaml."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support import git

from backcast.domain.errors import InputError
from backcast.domain.report import ReportSettings
from backcast.settings import load_model, load_workflow, poll_interval_seconds, report_settings, run_settings

if TYPE_CHECKING:
    from backcast.domain.static_checks import SandboxTerms

WORKFLOW = "nightly_tech_debt"


def workflows_folder_of_the_project() -> Path:
    return Path(__file__).resolve().parents[2] / "include" / "workflows"


def test_each_place_wins_over_the_one_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_settings(WORKFLOW, {}).model.name == "claude-sonnet-5-5"
    monkeypatch.setenv("BACKCAST_MODEL", "claude-haiku-5-5")
    assert run_settings(WORKFLOW, {"model": None}).model.name == "claude-haiku-5-5"
    assert run_settings(WORKFLOW, {"model": "claude-opus-5-5"}).model.name == "claude-opus-5-5"


def test_the_repository_of_the_workflow_file_is_this_project() -> None:
    settings = run_settings(WORKFLOW, {})
    assert (Path(settings.repository) / "pyproject.toml").is_file()
    assert settings.sla == timedelta(hours=30)


def test_a_workflow_without_a_repository_is_for_the_one_that_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "team" / "batch" / "workflows"
    shutil.copytree(workflows_folder_of_the_project() / WORKFLOW, folder / WORKFLOW)
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(folder))
    with pytest.raises(InputError, match=r"Which repository is meant\? .* BACKCAST_REPOSITORY"):
        run_settings(WORKFLOW, {})
    assert run_settings(WORKFLOW, {"repository": "/srv/code"}).repository == "/srv/code"
    monkeypatch.setenv("BACKCAST_REPOSITORY", "/srv/other")
    assert run_settings(WORKFLOW, {}).repository == "/srv/other"
    monkeypatch.delenv("BACKCAST_REPOSITORY")
    git(tmp_path, "init", "-q", "team")
    assert run_settings(WORKFLOW, {}).repository == str(tmp_path / "team")


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"claude-nonesuch.*claude-haiku-4-5, claude-haiku-5-5"):
        load_model("claude-nonesuch")


def test_a_duration_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="write it like 30h"):
        run_settings(WORKFLOW, {"sla": "tomorrow"})


def test_a_poll_interval_must_be_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKCAST_POLL_INTERVAL", "soon")
    with pytest.raises(InputError, match="number of seconds above 0"):
        poll_interval_seconds()


def test_a_workflow_file_says_what_is_wrong_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(tmp_path))
    with pytest.raises(InputError, match="There is no workflow 'mine'"):
        load_workflow("mine")
    (tmp_path / "mine").mkdir()
    file = tmp_path / "mine" / "workflow.yaml"
    file.write_text("name: [")
    with pytest.raises(InputError, match="is not YAML"):
        load_workflow("mine")
    file.write_text("name: mine\nrounds: 9\n")
    with pytest.raises(InputError, match="rounds: 9 is greater than the maximum of 3"):
        load_workflow("mine")


def test_each_mistake_in_a_workflow_file_is_said_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(tmp_path))
    (tmp_path / "mine").mkdir()
    file = tmp_path / "mine" / "workflow.yaml"
    good = (workflows_folder_of_the_project() / WORKFLOW / "workflow.yaml").read_text()
    lines = good.splitlines()
    sla, kind = lines.index("sla: 30h"), lines.index("  kind: git")
    lines[sla] = "sla: soon"
    lines[kind] = "  kind: git\n  colour: red\n  include: [1]"
    lines.remove("  include: []")
    file.write_text("\n".join(["# a comment", *[line for line in lines if not line.startswith("model")]]))

    with pytest.raises(InputError) as raised:
        load_workflow("mine")

    text = file.read_text().splitlines()
    said = str(raised.value).splitlines()[1:]
    assert [line.removeprefix(f"{file}:").split(": ")[:2] for line in said] == [
        ["3", "'model' is a required property. The model that answers."],
        [str(text.index("sla: soon") + 1), "sla"],
        [str(text.index("  colour: red") + 1), "source"],
        [str(text.index("  include: [1]") + 1), "source.include[0]"],
    ]


def test_a_workflow_file_that_holds_no_mapping_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(tmp_path))
    (tmp_path / "mine").mkdir()
    for text in ("", "- 1", "just words"):
        (tmp_path / "mine" / "workflow.yaml").write_text(text)
        with pytest.raises(InputError, match=r"workflow.yaml:1: .* is not of type 'object'"):
            load_workflow("mine")


def test_a_report_may_show_only_another_workflow_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (WORKFLOW, "weekly_code_audit"):
        shutil.copytree(workflows_folder_of_the_project() / name, tmp_path / name)
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(tmp_path))
    assert report_settings(WORKFLOW) == ReportSettings(first="pays_off", beside=None)
    assert report_settings("weekly_code_audit") == ReportSettings(first="worst", beside=WORKFLOW)

    file = tmp_path / "weekly_code_audit" / "workflow.yaml"
    good = file.read_text()
    for wrong in ("nightly", "weekly_code_audit"):
        file.write_text(good.replace(f"beside: {WORKFLOW}", f"beside: {wrong}"))
        with pytest.raises(InputError, match=rf"report.beside: '{wrong}' is no other workflow. Name one of {WORKFLOW}"):
            run_settings("weekly_code_audit", {})
    file.write_text(good.replace("first: worst", "first: best"))
    with pytest.raises(InputError, match=r"workflow.yaml:12: report.first: 'best' is not one of"):
        load_workflow("weekly_code_audit")


def test_tests_are_run_only_where_that_is_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def tests() -> SandboxTerms:
        return run_settings("nightly_test_generation", {}).tests

    assert (tests().run, tests().sandbox, tests().python) == (False, "full", "")
    monkeypatch.setenv("BACKCAST_RUN_TESTS", "true")
    monkeypatch.setenv("BACKCAST_TESTS_SANDBOX", "limits")
    assert (tests().run, tests().sandbox) == (True, "limits")
    for name in ("BACKCAST_RUN_TESTS", "BACKCAST_TESTS_SANDBOX"):
        with monkeypatch.context() as mistaken:
            mistaken.setenv(name, "perhaps")
            with pytest.raises(InputError, match=f"{name} is 'perhaps': write "):
                tests()
