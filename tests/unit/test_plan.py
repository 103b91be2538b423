"""`backcast plan` says what a schedule promises before anything is paid, and `backcast check` what cannot hold."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from backcast.cli import main
from backcast.domain.capacity import Rate, Work
from backcast.domain.plan import Wish, make_plan
from backcast.domain.schedule import parse_due
from backcast.domain.sla import SlaError
from backcast.settings import workflows_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

H, M = timedelta(hours=1), timedelta(minutes=1)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
WEEKDAYS = parse_due("Mon-Fri 08:00 Europe/Berlin")


def wish(requests: int = 300, **other: Any) -> Wish:
    return Wish(**{"sla": 30 * H, "window": 24 * H, "work": Work(requests, 3500 * requests), "rate": Rate(), **other})


def backcast(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_a_report_of_thirty_hours_is_submitted_twice_and_guaranteed() -> None:
    plan = make_plan(wish(due=WEEKDAYS), NOW)
    assert str(plan.schedule) == "submits 30 h and 26 h before Mon-Fri 08:00 Europe/Berlin"
    assert plan.guaranteed
    assert (plan.batches, plan.rounds, plan.runs_at_once) == (1, 1, 4)
    first, second = plan.runs[:2]
    due = datetime(2026, 11, 27, 7, tzinfo=UTC)
    assert (first.at, second.at) == (due - 30 * H, due - 26 * H)
    assert first.cutoffs.deadline == second.cutoffs.deadline == due
    assert second.at + 24 * H < second.cutoffs.cancel_at
    assert plan.worst[-2].at < due - 30 * M


def test_six_hours_use_up_the_whole_reserve_and_four_are_planned_instead() -> None:
    plan = make_plan(wish(every=6 * H), NOW)
    assert plan.missing == plan.terms.reserve
    assert plan.schedule.interval == 4 * H
    assert make_plan(wish(every=2 * H), NOW).schedule.interval == 2 * H


def test_twenty_four_hours_cannot_hold() -> None:
    with pytest.raises(SlaError, match="25h30m or more"):
        make_plan(wish(sla=24 * H), NOW)


def test_a_run_that_cannot_be_answered_in_time_is_not_guaranteed_and_the_rate_that_can_is_said() -> None:
    plan = make_plan(wish(30_000, due=WEEKDAYS), NOW)
    assert not plan.guaranteed
    assert plan.batches == 9
    assert plan.faster_by is not None
    assert make_plan(wish(30_000, due=WEEKDAYS, rate=Rate().times(plan.faster_by * 1.01)), NOW).guaranteed
    assert not make_plan(wish(30_000, due=WEEKDAYS, rate=Rate().times(plan.faster_by * 0.99)), NOW).guaranteed


def test_three_days_hold_two_whole_rounds_from_one_slot() -> None:
    plan = make_plan(wish(sla=72 * H, due=parse_due("Mon 08:00 Europe/Berlin"), most_slots=1), NOW)
    assert plan.rounds == 2
    assert [run.cutoffs.deadline - run.at for run in plan.runs] == [72 * H]


def test_the_weekly_audit_is_sent_once_and_has_two_whole_rounds_before_monday() -> None:
    told = json.loads(backcast("plan", "weekly_code_audit", "--json").stdout)
    assert told["whole_rounds"] == 2
    assert told["guaranteed"] is True
    assert told["runs_at_once"] == 1
    assert told["schedule"] == "submits 72 h before Mon 08:00 Europe/Berlin"
    assert "2 with a whole window" in backcast("plan", "weekly_code_audit").stdout


def test_the_command_shows_the_plain_arithmetic_first() -> None:
    done = backcast("plan")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "30 h \N{MINUS SIGN} 24 h = 6 h buffer"
    assert "4 h is the longest part of a day that fits" in lines[2]
    assert "guaranteed" in done.stdout
    assert "━" in done.stdout
    asked = backcast("plan", "--every", "6h").stdout
    assert "6 h would use up 1 h 25 min of the reserve" in asked
    assert "4 h instead" in asked


def test_the_command_refuses_what_cannot_hold_with_the_smallest_that_can() -> None:
    done = backcast("plan", "--sla", "24h")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Write 25h30m or more" in done.stderr
    assert "every 5 min" in backcast("plan", "--sla", "25h30m").stdout
    # A report has no document that waits for a slot.
    assert "Write 25h25m or more" in backcast("plan", "--sla", "24h", "--due", "08:00 UTC").stderr
    assert backcast("plan", "--sla", "25h25m", "--due", "08:00 UTC").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sla", "soon"], "write it like 30h"),
        (["--sla", "900h"], "write at most 672h"),
        (["--window", "0h"], "no time at all"),
        (["--every", "0m"], "no time at all"),
        (["--due", "08:00 Mars/Phobos"], "no time zone"),
        (["--requests-per-minute", "0"], "requests per minute must be above 0"),
        (["--tokens-per-minute", "-1"], "tokens per minute must be above 0"),
        (["--model", "gpt"], "not known here"),
        (["no_such_workflow"], "There is no workflow"),
        (["--requests", "-1"], "Invalid value"),
    ],
)
def test_what_makes_no_plan_is_refused_with_what_to_write(arguments: list[str], said: str) -> None:
    done = backcast("plan", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr


def test_json_has_durations_in_seconds_and_moments_in_utc() -> None:
    done = backcast("plan", "nightly_tech_debt", "--requests", "30000", "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert (told["buffer"], told["interval"]) == (6 * 3600, 4 * 3600)
    assert told["guaranteed"] is False
    assert told["faster_by"] > 1
    assert all(datetime.fromisoformat(run["at"]).utcoffset() == timedelta() for run in told["runs"])
    assert 0 < float(told["cost_usd"]["least_usd"]) < float(told["cost_usd"]["most_usd"])


def test_the_drawing_is_an_svg_with_the_same_words(tmp_path: Path) -> None:
    done = backcast("plan", "nightly_tech_debt", "--svg", str(tmp_path / "plan.svg"))
    assert done.exit_code == 0
    root = ET.parse(tmp_path / "plan.svg").getroot()
    assert root.tag.endswith("svg")
    assert "buffer" in "".join(root.itertext())


@pytest.fixture
def workflows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Change a line of the workflow in a copy of the folder."""
    folder = tmp_path / "workflows"
    shutil.copytree(workflows_folder(), folder)
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(folder))

    def change(line: str, into: str) -> None:
        path = folder / "nightly_tech_debt" / "workflow.yaml"
        text = path.read_text()
        assert line in text
        path.write_text(text.replace(line, into))

    return change


def test_check_passes_what_can_hold_and_fails_what_cannot(workflows: Callable[[str, str], None]) -> None:
    done = backcast("check")
    assert done.exit_code == 0
    assert "nightly_tech_debt: submits 30 h and 26 h before Mon-Fri 08:00 Europe/Berlin" in done.stdout
    assert "weekly_code_audit: submits 72 h before Mon 08:00 Europe/Berlin" in done.stdout
    workflows("sla: 30h", "sla: 24h")
    done = backcast("check")
    assert done.exit_code == 1
    assert "nightly_tech_debt/workflow.yaml:5: sla: An SLA of 24 h cannot hold" in done.stderr
    assert "Write 25h10m or more. Or write `opportunistic: true`" in done.stderr


def test_check_says_what_is_started_by_hand(workflows: Callable[[str, str], None]) -> None:
    workflows("due: Mon-Fri 08:00 Europe/Berlin\n", "")
    assert "nightly_tech_debt: is started by hand" in backcast("check").stdout


def test_a_plan_reads_the_rate_that_a_workflow_allows_for_rescue(workflows: Callable[[str, str], None]) -> None:
    workflows(
        "prompt: v1", "prompt: v1\nrescue:\n  requests_per_minute: 5\n  tokens_per_minute: 1000\nevery: 2h\nslots: 1"
    )
    done = backcast("plan", "nightly_tech_debt")
    assert "NOT guaranteed" in done.stdout
    assert "submits 30 h before" in done.stdout
