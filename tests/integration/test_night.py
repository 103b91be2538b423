"""A whole night through the services: real git, real PostgreSQL, the real SDK, and a simulator over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import WORKFLOW, Night, clock, commit, git

from backcast.ledger.runs import load_run
from backcast.services.collect import collect
from backcast.services.ingest import ingest
from backcast.services.open_run import open_run
from backcast.services.publish import publish
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import plan_round
from backcast.services.submit import submit
from backcast.settings import run_settings

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger

LONG_FUNCTION = "def tangled(a):\n" + "".join(
    f"    if a == {i}:\n        for x in range(a):\n            if x > {i} and a < {i}:\n                print(x)\n"
    for i in range(12)
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "tangled.py").write_text(LONG_FUNCTION)
    (folder / "src" / "clean.py").write_text("def double(x: int) -> int:\n    return 2 * x\n")
    (folder / "src" / "copy_of_clean.py").write_text("def double(x: int) -> int:\n    return 2 * x\n")
    (folder / "logo.bin").write_bytes(b"\0\1\2")
    git(folder, "init", "-q")
    commit(folder, "first")
    return folder


@pytest.fixture
def night(ledger: Ledger, simulator: Any, tmp_path: Path) -> Night:
    return Night(ledger, simulator.base_url, tmp_path)


def test_a_night_ends_in_a_report_and_outcomes_that_add_up(night: Night, repository: Path, simulator: Any) -> None:
    run_id, report = night.whole("dag/1", repository=str(repository))

    assert report["totals"] == {"collected": 4, "answered": 2, "reused": 1, "skipped": 1, "unanswered": 0}
    assert any(finding["path"] == "src/tangled.py" for finding in report["findings"])
    assert len(simulator.bill()) == 2
    with night.ledger.connect() as connection:
        assert load_run(connection, run_id)["state"] == "published"


def test_a_second_night_on_the_same_commit_sends_nothing_and_finds_the_same(
    night: Night, repository: Path, simulator: Any
) -> None:
    _, first = night.whole("dag/1", repository=str(repository))
    _, second = night.whole("dag/2", repository=str(repository))

    assert len(simulator.bill()) == 2
    assert second["totals"]["reused"] == 3
    assert [f["fingerprint"] for f in second["findings"]] == [f["fingerprint"] for f in first["findings"]]
    assert {f["status"] for f in second["findings"]} == {"persisting"}


def test_one_changed_file_is_one_request(night: Night, repository: Path, simulator: Any) -> None:
    night.whole("dag/1", repository=str(repository))
    (repository / "src" / "tangled.py").write_text("def simple() -> int:\n    return 1\n")
    commit(repository, "second")
    _, report = night.whole("dag/2", repository=str(repository))

    assert len(simulator.bill()) == 3
    assert report["totals"]["answered"] == 1
    assert report["fixed"]


def test_what_errored_expired_or_was_cut_off_is_sent_again_and_only_that(
    night: Night, repository: Path, simulator: Any
) -> None:
    for number in range(4):
        (repository / "src" / f"extra{number}.py").write_text(f"VALUE = {number}\n")
    commit(repository, "more")
    simulator.rules(
        {"match": 'path="src/extra0.py"', "attempts": [1], "outcome": "errored", "error_type": "overloaded_error"},
        {"match": 'path="src/extra1.py"', "attempts": [1], "outcome": "expired"},
        {"match": 'path="src/extra2.py"', "attempts": [1], "outcome": "truncated"},
        {"match": 'path="src/extra3.py"', "outcome": "invalid_request"},
    )
    run_id, report = night.whole("dag/1", repository=str(repository))

    assert report["totals"]["unanswered"] == 1
    assert report["unanswered"][0]["path"] == "src/extra3.py"
    assert "our_fault" in report["unanswered"][0]["reason"]
    with night.ledger.connect() as connection:
        children = connection.execute(
            "SELECT parent.cause, child.remedy, child.max_tokens, child.state FROM requests AS child "
            "JOIN requests AS parent ON parent.request_id = child.parent_id WHERE child.run_id = %s ORDER BY 1, 2",
            [run_id],
        ).fetchall()
    assert [tuple(child.values()) for child in children] == [
        ("passing", "same_again", 8192, "accepted"),
        ("passing", "same_again", 8192, "accepted"),
        ("truncated", "more_max_tokens", 16384, "accepted"),
    ]
    # Two documents, four extra ones of which two were never billed the first time, and three that went again.
    assert len(simulator.bill()) == 2 + 1 + 3


def test_every_step_called_twice_does_its_work_once(night: Night, repository: Path, simulator: Any) -> None:
    run_id = night.open("dag/1", repository=str(repository))
    assert night.open("dag/1", repository="/elsewhere") == run_id
    first = collect(night.ledger, clock, run_id, cache=night.folder)
    assert collect(night.ledger, clock, run_id, cache=night.folder) == first
    [batch_id] = plan_round(night.ledger, clock, run_id, 1)
    assert plan_round(night.ledger, clock, run_id, 1) == [batch_id]
    submit(night.ledger, night.api, clock, batch_id)
    assert submit(night.ledger, night.api, clock, batch_id) == batch_id
    night.wait(batch_id)
    assert ingest(night.ledger, night.api, clock, batch_id) == ingest(night.ledger, night.api, clock, batch_id)
    resubmit_failures(night.ledger, run_id, 2)
    assert night.publish(run_id) == night.publish(run_id)

    creates = [call for call in simulator.log() if call["method"] == "POST" and call["path"].endswith("/batches")]
    assert len(creates) == 1


def test_a_dry_run_sends_nothing(night: Night, repository: Path, simulator: Any) -> None:
    run_id = night.open("dag/1", repository=str(repository), dry_run=True)
    collection = collect(night.ledger, clock, run_id, cache=night.folder)

    assert collection.to_send == 2
    assert collection.estimated_usd > 0
    assert plan_round(night.ledger, clock, run_id, 1) == []
    assert publish(night.ledger, clock, run_id, reports=night.folder).report is None
    assert simulator.bill() == []


def test_asked_for_a_full_run_it_asks_about_every_document_again(
    night: Night, repository: Path, simulator: Any
) -> None:
    night.whole("dag/1", repository=str(repository))
    night.whole("dag/2", repository=str(repository), full=True)

    assert len(simulator.bill()) == 4


OTHER_READINGS = {
    "counts": "moving",
    "cancel_ended": "return",
    "error_request_id": "workerreq",
    "early_results": "invalid_request",
    "too_large": "html",
    "poll_retry_after": "ten",
    "enum_casing": "varied",
}


def test_a_night_ends_the_same_where_the_api_may_behave_either_way(
    ledger: Ledger, start_simulator: Any, repository: Path, tmp_path: Path
) -> None:
    readings = [word for name, value in OTHER_READINGS.items() for word in ("--reading", f"{name}={value}")]
    other = start_simulator("--speed", "50000", *readings)
    other.rules(
        {"match": 'path="src/tangled.py"', "attempts": [1], "outcome": "errored", "error_type": "api_error"},
        {"match": 'path="src/clean.py"', "attempts": [1], "outcome": "expired"},
    )
    _, report = Night(ledger, other.base_url, tmp_path).whole("dag/1", repository=str(repository))

    assert report["totals"] == {"collected": 4, "answered": 2, "reused": 1, "skipped": 1, "unanswered": 0}
    assert len(other.bill()) == 2


def test_an_interim_report_says_so_and_the_one_that_is_due_is_compared_with_the_one_before_it(
    night: Night, repository: Path
) -> None:
    before, first = night.whole("dag/1", repository=str(repository))
    settings = replace(run_settings(WORKFLOW, {"repository": str(repository)}), interim=True)
    run_id = open_run(night.ledger, night.api, clock, settings, external_key="dag/2")
    collect(night.ledger, clock, run_id, cache=night.folder)
    published = publish(night.ledger, clock, run_id, reports=night.folder / "reports")
    assert published.interim
    assert published.report is not None
    assert "**Interim report.**" in published.report.read_text()
    _, due = night.whole("dag/3", repository=str(repository))
    assert not due["interim"]
    assert due["previous_published_at"] == first["published_at"]
    assert before < run_id
