"""When a run is due: as a person writes it, as its slot has it, or as its SLA says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from backcast.domain.deadlines import AT_RISK_BEFORE, DeadlineKind, alerts_at, parse_deadline, require_reachable
from backcast.domain.errors import InputError
from backcast.domain.schedule import parse_due, schedule_of
from backcast.domain.schedule_data import schedule_data
from backcast.domain.sla import LONGEST_SLA, Terms
from backcast.orchestration.deadlines import BackcastDeadline, deadline_alerts, settings_in_time
from backcast.settings import run_settings

NAME = "nightly_tech_debt"
NOW = datetime(2026, 11, 25, 1, tzinfo=UTC)
DUE = datetime(2026, 11, 26, 7, tzinfo=UTC)
M = timedelta(minutes=1)
SCHEDULE = schedule_of(Terms(sla=timedelta(hours=30)), parse_due("08:00 Europe/Berlin"), None)
REFERENCE = BackcastDeadline(108_000.0, schedule_data(SCHEDULE))


@dataclass
class DagRun:
    """What a task knows of its DAG run."""

    run_type: str
    logical_date: datetime | None


@pytest.mark.parametrize(
    "text",
    ["2026-11-26T08:00+01:00", "2026-11-26T07:00:00Z", "2026-11-26T07:00", " 2026-11-26 07:00:00 ", "20261126T070000Z"],
)
def test_a_deadline_is_read_with_its_zone_or_as_utc(text: str) -> None:
    assert parse_deadline(text) == DUE
    assert run_settings(NAME, {"deadline": text}).deadline == DUE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tomorrow", "no date and time: write it like 2026-11-27T08:00"),
        ("2026-11-27", "names no time of day"),
        ("2026-02-30T08:00", "no date and time"),
        ("9999-12-31T23:59-10:00", "out of reach"),
        ("0001-01-01T00:00+10:00", "out of reach"),
    ],
)
def test_what_is_no_deadline_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        run_settings(NAME, {"deadline": text})


def test_no_deadline_is_the_sla() -> None:
    assert run_settings(NAME, {}).deadline is None
    assert run_settings(NAME, {"deadline": ""}).deadline is None


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (-M, "is past: write one after 2026-11-25T01:10Z"),
        (timedelta(), "is past"),
        (9 * M, "less than 10 min away"),
        (LONGEST_SLA + M, "further away than results are kept: write one before 2026-12-23T01:00Z"),
    ],
)
def test_a_deadline_out_of_reach_is_refused_with_what_to_write(ahead: timedelta, said: str) -> None:
    with pytest.raises(InputError, match=said):
        require_reachable(NOW + ahead, NOW)


@pytest.mark.parametrize("ahead", [10 * M, timedelta(hours=30), LONGEST_SLA])
def test_a_deadline_within_reach_is_taken(ahead: timedelta) -> None:
    require_reachable(NOW + ahead, NOW)


def test_a_report_is_at_risk_when_results_can_no_longer_be_read_in_time() -> None:
    # 5 min to publish, 5 to read, 10 to settle, 30 of margin.
    assert AT_RISK_BEFORE == 50 * M
    assert alerts_at(DUE) == {DeadlineKind.AT_RISK: DUE - 50 * M, DeadlineKind.MISSED: DUE}


@pytest.mark.parametrize(
    ("run_type", "logical_date", "conf", "due"),
    [
        ("scheduled", NOW, {}, DUE),
        ("backfill", NOW, None, DUE),
        # The schedule was changed since.
        ("scheduled", NOW + M, {}, NOW + timedelta(hours=30)),
        ("manual", NOW, None, NOW + timedelta(hours=30)),
        # Triggered through the API without a logical date.
        ("manual", None, {"deadline": "2026-11-25T20:00Z"}, datetime(2026, 11, 25, 20, tzinfo=UTC)),
        # Refused at once by the run's first task: nothing is owed.
        ("manual", None, {"deadline": "soon"}, None),
        ("manual", None, {"deadline": "2026-11-25T00:59Z"}, None),
        ("manual", None, {"deadline": None}, NOW + timedelta(hours=30)),
    ],
)
def test_airflow_knows_the_deadline_of_every_run(
    run_type: str, logical_date: datetime | None, conf: dict[str, str] | None, due: datetime | None
) -> None:
    told = json.loads(json.dumps(REFERENCE.serialize_reference()))
    read = BackcastDeadline.deserialize_reference(told)
    assert read == REFERENCE
    assert read.deadline_of(run_type, logical_date, NOW, conf) == due


@pytest.mark.parametrize("schedule", [None, {"sla": 1}, {"due": "someday"}])
def test_a_schedule_that_cannot_be_read_does_not_fail_the_creation_of_a_run(schedule: dict[str, str] | None) -> None:
    assert BackcastDeadline(60, schedule).deadline_of("scheduled", NOW, NOW, {}) == NOW + M


def test_a_task_knows_the_same_deadline_and_until_when_the_run_may_start() -> None:
    settings, start_by = settings_in_time(NAME, DagRun("scheduled", NOW), {})  # type: ignore[arg-type]
    assert (settings.deadline, start_by) == (DUE, datetime(2026, 11, 25, 5, 55, 30, tzinfo=UTC))
    by_hand, whenever = settings_in_time(NAME, DagRun("manual", NOW), {})  # type: ignore[arg-type]
    assert (by_hand.deadline, whenever) == (None, None)


def test_no_slot_is_opened_once_schedules_are_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BACKCAST_SCHEDULES", "false")
    assert settings_in_time(NAME, DagRun("scheduled", NOW), {})[1] == NOW  # type: ignore[arg-type]
    assert "BACKCAST_SCHEDULES is false" in caplog.text


def test_a_deadline_without_a_zone_is_said_to_be_taken_as_utc(caplog: pytest.LogCaptureFixture) -> None:
    run = DagRun("manual", None)
    settings_in_time(NAME, run, {"deadline": "2026-11-26T07:00Z"})  # type: ignore[arg-type]
    assert not caplog.records
    settings_in_time(NAME, run, {"deadline": "2026-11-26T07:00"})  # type: ignore[arg-type]
    assert "names no time zone: it is taken as UTC" in caplog.text


def test_there_is_an_alert_before_the_deadline_and_one_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    alerts = deadline_alerts(NAME)
    assert [(alert.name, alert.interval) for alert in alerts] == [
        ("deadline at risk", -50 * M),
        ("deadline missed", timedelta()),
    ]
    assert {alert.callback.path for alert in alerts} == {"backcast.orchestration.alerting.alert"}
    # A wrong setting is refused by the run, and is no error of the DAG's file.
    monkeypatch.setenv("BACKCAST_SLA", "soon")
    assert deadline_alerts(NAME) == []
