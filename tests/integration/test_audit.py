"""A week on a stepped clock: nightly reports, and the audit that shows what they found beside its own findings."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.audits import AUDIT, COPYLEFT, EVAL, SWALLOWED, UNREACHABLE, UNUSED, Week, found, seen
from tests.support import WORKFLOW, commit, git

from backcast.domain.sla import Terms, whole_rounds
from backcast.services.collect import collect
from backcast.services.ingest import ingest
from backcast.services.open_run import open_run
from backcast.services.publish import publish
from backcast.services.rounds import plan_round
from backcast.settings import run_settings
from backcast_simulator.rules import parse_rules

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger


@pytest.fixture
def week(ledger: Ledger, tmp_path: Path) -> Week:
    week = Week(ledger, tmp_path, documents=1)
    week.write(holes=EVAL, careless=SWALLOWED, debt=UNUSED, early=UNREACHABLE, copied=COPYLEFT)
    return week


def test_an_audit_has_findings_of_its_own_kinds_the_worst_first(week: Week) -> None:
    report = week.whole(AUDIT, "audit/1")

    assert report["workflow"] == AUDIT
    assert report["categories"] == ["security", "correctness", "licence"]
    assert found(report["findings"]) == [
        ("holes.py", "security"),
        ("careless.py", "correctness"),
        ("copied.py", "licence"),
    ]
    assert report["totals"] == {"collected": 6, "answered": 6, "reused": 0, "skipped": 0, "unanswered": 0}
    assert (report["beside"]["workflow"], report["beside"]["reports"]) == (WORKFLOW, [])
    assert report["markdown"].startswith("# `weekly_code_audit` report, ")
    assert "The worst come first" in report["markdown"]
    assert "It published no report of this repository in that time." in report["markdown"]


def test_the_nights_of_the_week_stand_beside_the_audit_each_finding_once(week: Week) -> None:
    first = week.whole(WORKFLOW, "night/1")
    week.write(early="def early():\n    return 1\n")
    second = week.whole(WORKFLOW, "night/2")
    audit = week.whole(AUDIT, "audit/1")

    beside = audit["beside"]
    assert [report["run_id"] for report in beside["reports"]] == [second["run_id"], first["run_id"]]
    assert [report["commit"] for report in beside["reports"]] == [second["commit"], first["commit"]]
    # The hole is a finding of the audit, too, under the same category; the swallowed error has another one there.
    assert ("holes.py", "security") in found(second["findings"])
    assert seen(beside["findings"]) == [("debt.py", "new", second["run_id"])]
    paths = {finding["fingerprint"]: finding["path"] for finding in audit["findings"]}
    assert [(paths[one["fingerprint"]], one["category"], one["run_id"]) for one in beside["same"]] == [
        ("careless.py", "error_handling", second["run_id"]),
        ("holes.py", "security", second["run_id"]),
    ]
    assert seen(beside["fixed"]) == [("early.py", "fixed", first["run_id"])]
    assert beside["fixed"][0]["published_at"] == first["published_at"]
    assert "| Unreachable code in `early` after line 2 |" in audit["markdown"]
    assert f"run {first['run_id']}, {first['published_at'][:10]} |" in audit["markdown"]
    assert first["beside"] is None
    assert second["beside"] is None


def test_only_the_last_seven_days_of_the_same_repository_count(week: Week, tmp_path: Path) -> None:
    week.whole(WORKFLOW, "night/1")
    week.days(8)
    other = tmp_path / "other"
    other.mkdir()
    (other / "debt.py").write_text(f"{UNUSED}OTHER = 1\n")
    git(other, "init", "-q")
    commit(other, "first")
    week.whole(WORKFLOW, "night/2", repository=str(other))
    assert week.whole(AUDIT, "audit/1")["beside"]["reports"] == []

    third = week.whole(WORKFLOW, "night/3")
    beside = week.whole(AUDIT, "audit/2")["beside"]
    assert [report["run_id"] for report in beside["reports"]] == [third["run_id"]]
    # What a report before the week had already is not new.
    assert {status for _, status, _ in seen(beside["findings"])} == {"persisting"}


def test_what_the_last_night_could_not_review_is_not_called_fixed(week: Week) -> None:
    first = week.whole(WORKFLOW, "night/1")
    week.write(debt=f"{UNUSED}OTHER = 2\n")
    week.simulator.set_rules(parse_rules([{"match": 'path="debt.py"', "outcome": "invalid_request"}]))
    second = week.whole(WORKFLOW, "night/2")
    week.simulator.set_rules([])

    assert [document["path"] for document in second["unanswered"]] == ["debt.py"]
    beside = week.whole(AUDIT, "audit/1")["beside"]
    assert ("debt.py", "new", first["run_id"]) in seen(beside["findings"])
    assert beside["fixed"] == []


def test_what_the_last_night_was_not_asked_about_is_not_called_fixed(week: Week) -> None:
    first = week.whole(WORKFLOW, "night/1")
    week.whole(WORKFLOW, "night/2", include=["early.py"])

    beside = week.whole(AUDIT, "audit/1")["beside"]
    assert ("debt.py", "new", first["run_id"]) in seen(beside["findings"])
    assert beside["fixed"] == []


def test_a_workflow_that_cannot_be_read_any_more_keeps_no_report_back(
    week: Week, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = run_settings(AUDIT, {"repository": str(week.repository)})
    run_id = open_run(week.ledger, week.api, week.now, settings, external_key="audit/1")
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(tmp_path / "none"))
    collect(week.ledger, week.now, run_id, cache=week.folder)
    path = publish_after_a_round(week, run_id)

    report = json.loads(path.with_suffix(".json").read_bytes())
    assert len(report["findings"]) == 3
    assert (report["first"], report["beside"]) == ("pays_off", None)
    alert = week.row("alerts", kind="report_settings")
    assert alert["run_id"] == run_id
    assert "There is no workflow 'weekly_code_audit'" in alert["message"]


def publish_after_a_round(week: Week, run_id: int) -> Path:
    for batch_id in plan_round(week.ledger, week.now, run_id, 1):
        week.submit(batch_id)
        week.days(1)
        ingest(week.ledger, week.api, week.now, batch_id)
    path = publish(week.ledger, week.now, run_id, reports=week.folder / "reports").report
    assert path
    return path


def test_an_audit_has_time_for_two_whole_rounds(week: Week) -> None:
    settings = run_settings(AUDIT, {})
    assert whole_rounds(Terms(sla=settings.sla)) == 2
    report = week.whole(AUDIT, "audit/1")
    run = week.row("runs", run_id=report["run_id"])
    assert run["deadline"] - run["opened_at"] == timedelta(hours=72)
