"""A report that is at risk or missed is said once for each run and kind, and only while it is owed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from click.testing import CliRunner
from tests.stepped_night import DAY, SteppedNight
from tests.support import WORKFLOW

from backcast.cli import main
from backcast.domain.deadlines import DeadlineKind
from backcast.domain.errors import ApiError, InputError
from backcast.orchestration import abandoned, alerting, clients, tasks
from backcast.services.alerts import Message, raise_alert, untold
from backcast.services.cancel import cancel_run
from backcast.services.deadlines import alert_unopened, check_deadlines, upcoming
from backcast.services.ingest import ingest
from backcast.services.open_run import open_run
from backcast.services.publish import publish
from backcast.services.reconcile import mark_left
from backcast.settings import run_settings
from backcast_simulator.rules import parse_rules

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger

M = timedelta(minutes=1)
AT_RISK, MISSED = DeadlineKind.AT_RISK, DeadlineKind.MISSED


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path)


def until(night: SteppedNight, run_id: int, before: timedelta) -> None:
    """Let time pass until so long before the run is due."""
    night.simulator.advance((night.row("runs", run_id=run_id)["deadline"] - before - night.now()).total_seconds())


def check(night: SteppedNight) -> list[tuple[str, int | None]]:
    return [(message.kind, message.run_id) for message in check_deadlines(night.ledger, night.now)]


def raised(night: SteppedNight) -> list[dict[str, Any]]:
    with night.ledger.connect() as connection:
        return connection.execute("SELECT * FROM alerts ORDER BY alert_id").fetchall()


def test_each_is_said_once_when_it_is_due(night: SteppedNight) -> None:
    run = night.collected()
    until(night, run, 51 * M)
    assert check(night) == []
    until(night, run, 50 * M)
    assert check(night) == [(AT_RISK, run)]
    assert check(night) == []
    until(night, run, timedelta())
    assert check(night) == [(MISSED, run)]
    night.simulator.advance(DAY)
    assert check(night) == []
    assert [(row["kind"], row["subject"], row["run_id"]) for row in raised(night)] == [
        (AT_RISK, "dag/1", run),
        (MISSED, "dag/1", run),
    ]


def test_what_is_missed_is_not_said_to_be_at_risk(night: SteppedNight) -> None:
    run = night.collected()
    until(night, run, -M)
    assert check(night) == [(MISSED, run)]


def test_a_message_says_what_is_due_when_what_is_open_and_what_to_do(night: SteppedNight) -> None:
    batch = night.submit(night.planned())
    lost = night.planned("dag/2")
    night.lose(lost)
    run, other = (night.row("batches", batch_id=each)["run_id"] for each in (batch, lost))
    api_batch_id = night.row("batches", batch_id=batch)["api_batch_id"]
    until(night, run, timedelta())
    first, second = check_deadlines(night.ledger, night.now)
    deadline = night.row("runs", run_id=run)["deadline"]
    assert f"Run {run} of {WORKFLOW} (dag/1) has missed its deadline" in first.text
    assert f"due {deadline:%Y-%m-%d %H:%M} UTC" in first.text
    assert f"3 of 3 requests; at the API {api_batch_id}" in first.text
    assert f"`backcast reconcile --finish {run}`" in first.text
    assert f"Run {other}" in second.text
    assert "batches in doubt: 1" in second.text


def test_what_failed_and_was_not_sent_again_is_open(night: SteppedNight) -> None:
    night.simulator.set_rules(parse_rules([{"match": '.py"', "outcome": "expired"}]))
    batch = night.submit(night.planned())
    run = night.row("batches", batch_id=batch)["run_id"]
    night.simulator.advance(DAY)
    ingest(night.ledger, night.api, night.now, batch)
    until(night, run, timedelta())
    [message] = check_deadlines(night.ledger, night.now)
    assert "Open: 3 of 3 requests. Look" in message.text


def published(night: SteppedNight, run: int) -> None:
    with night.ledger.connect() as connection:
        [row] = connection.execute("SELECT batch_id FROM batches WHERE run_id = %s", [run]).fetchall()
    night.submit(row["batch_id"])
    night.simulator.advance(DAY)
    ingest(night.ledger, night.api, night.now, row["batch_id"])
    publish(night.ledger, night.now, run, reports=night.folder)


def test_what_is_published_canceled_left_or_only_an_estimate_owes_nothing(night: SteppedNight) -> None:
    done = night.row("batches", batch_id=night.planned())["run_id"]
    published(night, done)
    canceled, left, owing = (night.collected(f"dag/{number}") for number in (2, 3, 4))
    night.collected("dag/5", dry_run=True)
    cancel_run(night.ledger, night.api, night.now, canceled, exclusive=False)
    mark_left(night.ledger, night.now, [left])
    until(night, owing, timedelta())
    assert check(night) == [(MISSED, owing)]


def test_only_the_runs_that_are_asked_about_are_looked_at(night: SteppedNight) -> None:
    run, other = night.collected(), night.collected("dag/2")
    until(night, run, timedelta())
    assert [message.run_id for message in check_deadlines(night.ledger, night.now, [other])] == [other]
    assert check_deadlines(night.ledger, night.now, []) == []
    assert check(night) == [(MISSED, run)]


def test_what_is_to_come_is_told_without_raising_it(night: SteppedNight) -> None:
    run = night.collected()
    deadline = night.row("runs", run_id=run)["deadline"]
    told = upcoming(night.ledger, night.now)
    assert [(message.kind, message.at) for message in told] == [(AT_RISK, deadline - 50 * M), (MISSED, deadline)]
    assert raised(night) == []
    until(night, run, 10 * M)
    check(night)
    assert [message.kind for message in upcoming(night.ledger, night.now, [run])] == [MISSED]


def test_a_run_takes_the_deadline_it_is_given_and_refuses_one_out_of_reach(night: SteppedNight) -> None:
    def opened(key: str, ahead: timedelta, start_by: timedelta | None = None) -> int:
        settings = replace(run_settings(WORKFLOW, {"repository": str(night.repository)}), deadline=night.now() + ahead)
        return open_run(
            night.ledger,
            night.api,
            night.now,
            settings,
            external_key=key,
            start_by=None if start_by is None else night.now() + start_by,
        )

    run = opened("dag/1", 20 * M)
    assert night.row("runs", run_id=run)["deadline"] == night.now() + 20 * M
    for key, ahead in (("dag/2", -M), ("dag/3", 5 * M), ("dag/4", timedelta(days=29))):
        with pytest.raises(InputError, match="write one"):
            opened(key, ahead)
    with pytest.raises(InputError, match="slot of this run has passed"):
        opened("dag/5", timedelta(hours=24), -M)
    # A run that is open goes on, whatever the clock says.
    assert opened("dag/1", -M, -M) == run


def test_a_dag_run_that_was_never_opened_is_said_once_and_an_estimate_never(night: SteppedNight) -> None:
    def unopened(conf: dict[str, Any] | None = None) -> list[Message]:
        return alert_unopened(night.ledger, night.now, "dag/queued", MISSED, conf)

    assert unopened({"dry_run": True}) == []
    [message] = unopened()
    assert "dag/queued has missed its deadline, and its first task has not opened it" in message.text
    assert unopened() == []


@pytest.mark.parametrize(
    ("state", "said"), [("running", [MISSED]), ("queued", [MISSED]), ("success", []), ("failed", [])]
)
def test_airflow_asks_what_became_of_the_run_before_it_cries(
    night: SteppedNight, monkeypatch: pytest.MonkeyPatch, state: str, said: list[str]
) -> None:
    run = night.collected()
    monkeypatch.setattr(clients, "ledger", lambda: night.ledger)
    monkeypatch.setattr(clients, "now", night.now)
    dag_run = {"dag_id": "dag", "dag_run_id": "1", "state": state, "conf": {}}
    until(night, run, timedelta())
    assert alerting._look(MISSED, dag_run) is None
    assert [row["kind"] for row in raised(night)] == said


def test_a_dag_run_that_was_just_made_has_a_moment_to_be_opened(
    night: SteppedNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "ledger", lambda: night.ledger)
    monkeypatch.setattr(clients, "now", night.now)
    dag_run = {"dag_id": "dag", "dag_run_id": "1", "state": "queued", "conf": {}, "run_after": night.now().isoformat()}
    assert alerting._look(AT_RISK, dag_run)
    assert raised(night) == []
    night.simulator.advance(300)
    assert alerting._look(AT_RISK, dag_run) is None
    assert [row["kind"] for row in raised(night)] == [AT_RISK]


def test_airflow_looks_again_when_a_run_by_hand_is_due_a_little_later(
    night: SteppedNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = night.collected()
    monkeypatch.setattr(clients, "ledger", lambda: night.ledger)
    monkeypatch.setattr(clients, "now", night.now)
    dag_run = {"dag_id": "dag", "dag_run_id": "1", "state": "running", "conf": {}}
    until(night, run, 51 * M)
    assert alerting._look(AT_RISK, dag_run) == M
    # What is not due for long is the watchdog's.
    assert alerting._look(MISSED, dag_run) is None
    assert raised(night) == []


def test_the_watchdog_needs_neither_the_triggerer_nor_the_api(
    night: SteppedNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, ended = night.collected(), night.collected("dag/2")
    monkeypatch.setattr(clients, "ledger", lambda: night.ledger)
    monkeypatch.setattr(clients, "now", night.now)
    monkeypatch.setattr(abandoned, "survey", lambda _ledger: abandoned.Survey(left=[ended]))

    def no_api() -> NoReturn:
        raise ApiError("away")

    monkeypatch.setattr(clients, "api", no_api)
    until(night, run, 10 * M)
    with pytest.raises(ApiError, match="away"):
        tasks.reconcile.function()
    assert [(row["kind"], row["run_id"]) for row in raised(night)] == [(AT_RISK, run)]


def test_the_command_shows_what_would_be_sent_and_raises_it_when_told(night: SteppedNight) -> None:
    run = night.collected()

    def said(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["alert", *arguments, "--ledger", night.ledger.dsn])
        assert result.exit_code == 0, result.output
        return result.stdout

    # The simulated clock is of the same day or long past, so the real one is before or after; both are shown.
    told = json.loads(said("--dry-run", "--json", str(run)))
    assert {message["run_id"] for message in told} == {run}
    assert all({"kind", "at", "text", "due"} <= set(message) for message in told)
    assert raised(night) == []
    assert f"Run {run} of {WORKFLOW}" in said("--dry-run")
    due = [message["kind"] for message in told if message["due"]]
    assert [message["kind"] for message in json.loads(said("--json"))] == due
    assert [row["kind"] for row in raised(night)] == due
    missing = CliRunner().invoke(main, ["alert", "999", "--ledger", night.ledger.dsn])
    assert missing.exit_code == 2


def test_any_other_alert_is_sent_to_people_once_too(night: SteppedNight) -> None:
    run_id = night.collected("dag/1")
    with night.ledger.connect() as connection:
        raised = [
            raise_alert(connection, night.now(), kind=kind, subject=subject, message=f"{kind}!", run_id=run)
            for kind, subject, run in (("canceled_by_another", "msgbatch_1", run_id), ("in_doubt", "7", None))
        ]
    assert raised == [True, True]
    sent = [(one.kind, one.external_key, one.run_id, one.workflow) for one in untold(night.ledger, night.now)]
    assert sent == [
        ("canceled_by_another", "dag/1", run_id, "nightly_tech_debt"),
        ("in_doubt", "7", None, None),
    ]
    assert untold(night.ledger, night.now) == []
    # Who finds a deadline at risk sends that alert.
    night.simulator.advance(29.5 * 3600)
    assert {one.workflow for one in check_deadlines(night.ledger, night.now, [run_id])} == {"nightly_tech_debt"}
    assert untold(night.ledger, night.now) == []
