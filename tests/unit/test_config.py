"""`backcast config` tells every value and where it came from, and no secret."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from backcast.cli import main
from backcast.domain.masking import without_password
from backcast.settings import resolve, run_settings, workflows_folder

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOW = "nightly_tech_debt"


def config(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, ["config", *arguments], env=environment)


def values(part: str = "values", **environment: str) -> dict[str, dict[str, Any]]:
    done = config(WORKFLOW, "--json", **environment)
    assert done.exit_code == 0, done.output
    return {value["name"]: value for value in json.loads(done.stdout)[part]}


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a workflow that a test may change, in a repository, which is the one that it reviews."""
    (tmp_path / ".git").mkdir()
    shutil.copytree(workflows_folder(), tmp_path / "workflows")
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(tmp_path / "workflows"))
    return tmp_path / "workflows" / WORKFLOW / "workflow.yaml"


def test_a_value_of_the_file_is_told_with_its_line(workflow: Path) -> None:
    lines = [
        "# a comment",
        "budget: {retries: 0, run: 5}",
        "rescue:",
        "  first: [src/]",
        *workflow.read_text().split("\n"),
    ]
    workflow.write_text("\n".join(lines))
    told = values()
    assert (told["model"]["value"], told["model"]["where"]) == (
        "claude-sonnet-5-5",
        f"workflow.yaml:{line(lines, 'model')}",
    )
    assert told["source.ref"]["where"] == f"workflow.yaml:{line(lines, '  ref')}"
    assert (told["budget.retries"]["value"], told["budget.retries"]["where"]) == (0, "workflow.yaml:2")
    assert (told["rescue.first"]["value"], told["rescue.first"]["where"]) == (["src/"], "workflow.yaml:4")


def line(lines: list[str], key: str) -> int:
    return next(number for number, text in enumerate(lines, 1) if text.startswith(f"{key}:"))


def test_what_is_set_nowhere_is_a_default() -> None:
    told = values()
    assert (told["structured_outputs"]["value"], told["structured_outputs"]["where"]) == (True, "default")
    assert (told["rescue.when_unresolved"]["value"], told["report.first"]["value"]) == ("leave", "pays_off")
    assert (told["budget.month"]["value"], told["budget.month"]["origin"]) == (None, "default")


def test_the_environment_wins_over_the_file_and_is_named() -> None:
    model = values(BACKCAST_MODEL="claude-haiku-5-5")["model"]
    assert (model["value"], model["where"]) == ("claude-haiku-5-5", "BACKCAST_MODEL")
    assert values(BACKCAST_MODEL="")["model"]["origin"] == "workflow.yaml"
    assert values("environment", BACKCAST_POLL_INTERVAL="5")["poll_interval"]["where"] == "BACKCAST_POLL_INTERVAL"


def test_every_value_that_a_workflow_file_may_hold_is_told() -> None:
    schema = json.loads((resources.files("backcast") / "workflow.schema.json").read_text(encoding="utf-8"))
    told = values()
    for name, about in schema["properties"].items():
        for path in [f"{name}.{key}" for key in about.get("properties", ())] or [name]:
            assert path in told or about.get("deprecated")


def test_the_origin_that_is_told_is_of_the_value_that_a_run_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKCAST_MAX_USD", "7")
    monkeypatch.setenv("BACKCAST_REF", "main")
    for params, wins in (({}, "environment"), ({"max_usd": 0, "ref": "v1"}, "parameter")):
        found = resolve(WORKFLOW, params)
        settings = run_settings(WORKFLOW, params)
        assert settings.budget.run == int(found["budget.run"].value)
        assert settings.ref == found["source.ref"].value
        assert found["budget.run"].origin == found["source.ref"].origin == wins


def test_a_table_for_people_says_what_would_win() -> None:
    shown = config(WORKFLOW, BACKCAST_SLA="40h").stdout
    [sla] = [text for text in shown.splitlines() if text.split()[:1] == ["sla"]]
    assert sla.split() == ["sla", "40h", "BACKCAST_SLA", "parameter", "sla"]
    assert "DAG run's parameters" in shown


def test_passwords_are_not_shown() -> None:
    done = config(
        WORKFLOW,
        BACKCAST_LEDGER="postgresql://backcast:hunter2@db:5432/x",
        BACKCAST_REPOSITORY="https://user:hunter2@example.org/r.git",
    )
    assert done.exit_code == 0
    assert "hunter2" not in done.output
    assert "postgresql://backcast:***@db:5432/x" in done.stdout
    assert "https://example.org/r.git" in done.stdout
    assert "hunter2" not in config(WORKFLOW, BACKCAST_REPOSITORY="http://hunter2@example.org/r.git").output


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://db/x", "postgresql://db/x"),
        ("postgresql://u@db/x", "postgresql://u@db/x"),
        ("postgresql://u:p@ss/w:rd@db/x", "postgresql://u:***@db/x"),
        (
            "postgresql://db/x?user=u&password=secret&sslmode=require",
            "postgresql://db/x?user=u&password=***&sslmode=require",
        ),
        (r"host=db password='se\'cret word' user=u", "host=db password=*** user=u"),
        ("host=db sslpassword = secret", "host=db sslpassword = ***"),
    ],
)
def test_a_dsn_is_shown_without_its_passwords(dsn: str, shown: str) -> None:
    assert without_password(dsn) == shown


def test_a_value_that_cannot_be_used_is_shown_and_said() -> None:
    done = config(WORKFLOW, BACKCAST_SLA="soon", BACKCAST_SCHEDULES="perhaps")
    assert done.exit_code == 2
    assert "soon" in done.stdout
    assert "backcast: A run could not be opened: The SLA cannot be used" in done.stderr
    assert "BACKCAST_SCHEDULES is 'perhaps'" in config(WORKFLOW, BACKCAST_SCHEDULES="perhaps").stderr
    assert "max_documents is 'few': write a whole number" in config(WORKFLOW, BACKCAST_MAX_DOCUMENTS="few").stderr


def test_an_unknown_workflow_is_a_usage_error() -> None:
    done = config("no_such_workflow")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "There is no workflow 'no_such_workflow'" in done.stderr
