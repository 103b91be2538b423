"""Airflow is told when runs start, in words too, and never starts one for a slot that has passed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pendulum
import pytest
import yaml
from airflow.timetables.base import DataInterval, TimeRestriction

from backcast.domain.errors import InputError
from backcast.domain.schedule import Slot, parse_due, schedule_of
from backcast.domain.sla import Terms
from backcast.domain.slots import deadline_of_slot, start_by
from backcast.orchestration.form import documentation
from backcast.orchestration.timetable import BackcastTimetable, runs_at_once, schedule_for
from backcast.services.scheduling import scheduling_of, slot_of
from backcast.settings import schedules_on, workflows_folder

if TYPE_CHECKING:
    from pathlib import Path

H = timedelta(hours=1)
TERMS = Terms(sla=30 * H, drain=timedelta(minutes=15))
REPORT = BackcastTimetable(schedule_of(TERMS, parse_due("08:00 Europe/Berlin"), None))
ROLLING = BackcastTimetable(schedule_of(TERMS, None, 4 * H))
ANYTIME = TimeRestriction(earliest=None, latest=None, catchup=False)
NAME = "nightly_tech_debt"


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of workflows, with one that a test may change."""
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "workflow.yaml").write_text((workflows_folder() / NAME / "workflow.yaml").read_text())
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(tmp_path))
    monkeypatch.delenv("BACKCAST_SCHEDULES", raising=False)
    return folder / "workflow.yaml"


def change(file: Path, **values: str | bool | None) -> None:
    workflow = yaml.safe_load(file.read_text()) | values
    file.write_text(yaml.safe_dump({name: value for name, value in workflow.items() if value is not None}))


@pytest.mark.parametrize(
    ("timetable", "words"),
    [
        (REPORT, "submits 30 h and 26 h before 08:00 Europe/Berlin"),
        (ROLLING, "submits every 4 h, each document answered within 30 h"),
    ],
)
def test_airflow_says_in_words_what_it_does(timetable: BackcastTimetable, words: str) -> None:
    assert timetable.summary == timetable.description == words


@pytest.mark.parametrize("timetable", [REPORT, ROLLING])
def test_another_process_gets_the_same_timetable(timetable: BackcastTimetable) -> None:
    read = BackcastTimetable.deserialize(json.loads(json.dumps(timetable.serialize())))
    assert read.schedule == timetable.schedule
    assert read.summary == timetable.summary


@pytest.mark.parametrize("timetable", [REPORT, ROLLING])
@pytest.mark.parametrize("away", [None, 1 * H, 24 * H, 24 * 30 * H])
def test_a_run_is_at_its_slot_which_may_still_start(timetable: BackcastTimetable, away: timedelta | None) -> None:
    now = datetime.now(UTC)
    last = DataInterval.exact(pendulum.instance(now - away)) if away else None
    info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=ANYTIME)
    assert info is not None
    assert info.logical_date == info.run_after
    deadline = deadline_of_slot(timetable.schedule, info.run_after)
    assert deadline is not None
    assert info.run_after > now or start_by(timetable.schedule, Slot(info.run_after, deadline)) >= now


def test_a_run_by_hand_is_for_its_own_moment() -> None:
    at = pendulum.datetime(2026, 11, 25, 3)
    assert REPORT.infer_manual_data_interval(run_after=at) == DataInterval.exact(at)


def test_a_workflow_has_its_schedule_and_as_many_runs_at_once_as_overlap(declared: Path) -> None:
    timetable = schedule_for(NAME)
    assert timetable is not None
    assert timetable.summary == "submits 30 h and 26 h before Mon-Fri 08:00 Europe/Berlin"
    assert timetable.summary in documentation(NAME)
    assert runs_at_once(NAME) == 4 + 4
    change(declared, due=None, every="4h")
    rolling = schedule_for(NAME)
    assert rolling is not None
    assert rolling.summary == "submits every 4 h, each document answered within 30 h"
    assert runs_at_once(NAME) == 7 + 4


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"sla": "24h"}, "An SLA of 24 h cannot hold"),
        ({"sla": "99999999999999d"}, "too long a time"),
        ({"sla": "40d"}, "longer than results are kept"),
        ({"due": "someday"}, "says no due time"),
        ({"due": None}, "names neither `due` nor `every`"),
    ],
)
def test_what_cannot_hold_has_no_schedule_and_says_why(declared: Path, values: dict[str, str | None], why: str) -> None:
    change(declared, **values)
    assert schedule_for(NAME) is None
    assert why in documentation(NAME)
    assert slot_of(NAME, datetime(2026, 11, 25, 1, tzinfo=UTC)) is None


def test_a_batch_that_is_tried_in_less_than_its_window_is_submitted_once_a_whole_sla_before(declared: Path) -> None:
    change(declared, sla="12h", opportunistic=True)
    timetable = schedule_for(NAME)
    assert timetable is not None
    assert timetable.summary == "submits 12 h before Mon-Fri 08:00 Europe/Berlin"
    due = datetime(2026, 11, 26, 7, tzinfo=UTC)
    found = slot_of(NAME, due - 12 * H)
    assert found is not None
    assert (found.slot.deadline, found.interim) == (due, False)
    assert found.start_by == due - 12 * H + timedelta(minutes=25)


@pytest.mark.usefixtures("declared")
def test_a_run_finds_its_slot_again_whatever_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKCAST_SCHEDULES", "false")
    at, due = datetime(2026, 11, 25, 1, tzinfo=UTC), datetime(2026, 11, 26, 7, tzinfo=UTC)
    found = slot_of(NAME, at)
    assert found is not None
    assert found.slot == Slot(at, due)
    # Four hours later comes another, for the same report.
    assert found.interim
    last = slot_of(NAME, at + 4 * H)
    assert last is not None
    assert last.slot.deadline == due
    assert not last.interim
    assert slot_of(NAME, at + H) is None


@pytest.mark.usefixtures("declared")
def test_schedules_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert schedules_on()
    monkeypatch.setenv("BACKCAST_SCHEDULES", "false")
    assert not schedules_on()
    assert schedule_for(NAME) is None
    assert "BACKCAST_SCHEDULES=false" in documentation(NAME)
    # A slip of the hand must not make the DAG's file an error, which would strand the runs that are open.
    monkeypatch.setenv("BACKCAST_SCHEDULES", "nope")
    with pytest.raises(InputError, match="BACKCAST_SCHEDULES is 'nope': write true or false"):
        schedules_on()
    assert scheduling_of(NAME).why_not == "BACKCAST_SCHEDULES is 'nope': write true or false."
