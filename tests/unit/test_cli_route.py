"""`backcast route` says which API each workflow is on and why, and answers whoever wants all of them on one."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from tests.support import git

from backcast.cli import main
from backcast.settings import run_settings, workflows_folder

if TYPE_CHECKING:
    from pathlib import Path

REVIEW = """\
name: pre_merge_review
description: Reviews a diff before it is merged.
blocking: true
sla: 5m
model: claude-sonnet-5-5
max_tokens: 8192
prompt: v1
source:
  kind: diff
"""
ADVICE = """\
name: advice
description: Says which dependencies to mend.
client_tools: [read_file, search]
sla: 12h
due: Mon 08:00 UTC
model: claude-sonnet-5-5
max_tokens: 8192
prompt: v1
source:
  kind: git
"""


@pytest.fixture(autouse=True)
def workflows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two that are shipped, one for which somebody waits, and one with tools that somebody must run."""
    folder = tmp_path / "workflows"
    for name in ("nightly_tech_debt", "weekly_code_audit"):
        shutil.copytree(workflows_folder() / name, folder / name)
    for name, text in (("pre_merge_review", REVIEW), ("advice", ADVICE)):
        shutil.copytree(folder / "nightly_tech_debt", folder / name)
        (folder / name / "workflow.yaml").write_text(text)
    git(tmp_path, "init", "-q")
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(folder))
    monkeypatch.delenv("BACKCAST_LEDGER", raising=False)
    return folder


def route(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["route", *arguments])


def asked(choice: str, *arguments: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    done = route("--what-if", choice, "--json", *arguments)
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    return answer, {each["workflow"]: each for each in answer["workflows"]}


def test_every_workflow_is_told_with_its_api_and_who_waits_and_why() -> None:
    told = {row["workflow"]: row for row in json.loads(route("--json").stdout)["workflows"]}
    assert {name: row["api"] for name, row in told.items()} == {
        "advice": "synchronous",
        "nightly_tech_debt": "batch",
        "pre_merge_review": "synchronous",
        "weekly_code_audit": "batch",
    }
    [step] = told["weekly_code_audit"]["steps"]
    assert (step["step"], step["api"]) == ("check_findings", "synchronous")
    assert "must run read_file, search in mid-answer" in step["why"]
    assert all(row["steps"] == [] for name, row in told.items() if name != "weekly_code_audit")
    assert told["pre_merge_review"]["who_waits"] == "somebody, at most 5 min"
    assert "must run read_file, search in mid-answer" in told["advice"]["why"]
    shown = route().stdout
    assert all(row["who_waits"] in shown for row in told.values())


def test_what_contradicts_itself_is_told_beside_the_others(workflows: Path) -> None:
    file = workflows / "nightly_tech_debt" / "workflow.yaml"
    file.write_text(file.read_text().replace("sla: 30h", "sla: 10h"))
    done = route("--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert len(told["workflows"]) == 3
    [refused] = told["refused"]
    assert f"{file}:5: sla: An SLA of 10 h cannot hold" in refused["why"]
    assert refused["why"] in done.stderr


def test_everything_as_a_batch_breaks_what_somebody_waits_for_and_saves_nothing_else() -> None:
    answer, told = asked("all-batch", "--runs-a-month", "pre_merge_review=400")
    broken = {name for name, each in told.items() if each["breaks"]}
    assert broken == {"pre_merge_review", "advice", "weekly_code_audit"}
    [step] = told["weekly_code_audit"]["breaks"]
    assert step.startswith("Its step check_findings would be lost, which is synchronous now")
    review = told["pre_merge_review"]
    assert review["breaks"][0].endswith("in place of at most 5 min: 400 to 9,600 hours of waiting a month.")
    assert (review["usual_hours_of_waiting"], review["worst_hours_of_waiting"]) == ("400", "9600")
    assert "first call of read_file, search" in told["advice"]["breaks"][0]
    assert "SLA of 12 h would be lost" in told["advice"]["breaks"][1]
    assert Decimal(answer["saved_usd"]) == sum(
        Decimal(told[name]["saved_usd"]) for name in ("pre_merge_review", "advice")
    )
    assert Decimal(answer["saved_usd"]) > 0
    assert Decimal(answer["saved_without_breaking_usd"]) == 0


def test_an_estimate_says_that_it_is_one_and_asks_once_a_report() -> None:
    _, told = asked("all-batch")
    nightly = told["nightly_tech_debt"]
    # Two slots for each of five reports a week, of which the second asks for nothing twice.
    assert nightly["runs"] == "42.9"
    assert nightly["money_basis"].startswith("ESTIMATE, not history: 21.4 reports, each of 300 requests")
    assert "1 request with" in told["pre_merge_review"]["money_basis"]
    assert told["pre_merge_review"]["runs_basis"].startswith("ASSUMED; say how many with --runs-a-month")
    # 21.43 reports of 300 requests and 8 % again, at half of $2 and $10 for a million tokens.
    assert Decimal(nightly["now_usd"]) == pytest.approx(Decimal("46.5171"), abs=Decimal("0.0001"))


def test_everything_synchronously_costs_twice_what_batches_cost_and_loses_what_does_not_fit(workflows: Path) -> None:
    answer, told = asked("all-sync")
    assert all(each["breaks"] == [] for each in told.values())
    assert Decimal(answer["then_usd"]) == Decimal(answer["synchronous_usd"])
    assert Decimal(told["weekly_code_audit"]["then_usd"]) == pytest.approx(
        2 * Decimal(told["weekly_code_audit"]["now_usd"]), abs=Decimal("0.001")
    )
    assert Decimal(told["pre_merge_review"]["saved_usd"]) == 0
    file = workflows / "nightly_tech_debt" / "workflow.yaml"
    file.write_text(file.read_text() + "rescue:\n  tokens_per_minute: 500\n")
    _, told = asked("all-sync")
    assert (
        "Its SLA of 30 h would be lost: 300 requests take 36 h 4 min at 50 requests and 500 tokens a minute."
        in (told["nightly_tech_debt"]["breaks"])
    )


def test_the_answer_to_a_manager_is_in_words() -> None:
    said = route("--what-if", "all-batch").stdout
    assert "Batches save US$" in said
    assert "Saved without breaking anything: US$ 0.00." in said
    assert "It would break 3 of 4 workflows:" in said
    assert "A batch takes 1 h (the API's documentation: most batches finish within an hour), and may take 24 h." in said
    assert "Nothing would break." in route("--what-if", "all-sync").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--what-if", "all"], "'all' is not one of 'all-batch', 'all-sync'"),
        (["--what-if", "all-batch", "--runs-a-month", "pre_merge_review"], "is not of the form NAME=N"),
        (["--what-if", "all-batch", "--runs-a-month", "nobody=3"], "There is no workflow 'nobody'. There are advice,"),
        (["--what-if", "all-batch", "--ledger", "postgresql://127.0.0.1:1/none"], "The ledger is not reachable"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments: list[str], said: str) -> None:
    done = route(*arguments)
    assert done.exit_code in {1, 2}
    assert said in done.output


def test_what_is_asked_synchronously_has_no_batch_to_plan_and_passes_the_check() -> None:
    done = CliRunner().invoke(main, ["plan", "pre_merge_review"])
    assert done.exit_code == 2
    assert "pre_merge_review is not for batches. Somebody waits, at most 5 min" in done.stderr
    checked = CliRunner().invoke(main, ["check"])
    assert checked.exit_code == 0, checked.output
    assert "pre_merge_review: is answered synchronously, on demand" in checked.stdout
    assert "advice: is answered synchronously, due Mon 08:00 UTC" in checked.stdout
    assert run_settings("pre_merge_review", {}).sla.total_seconds() == 300
