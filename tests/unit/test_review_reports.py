"""What a review says is shown as it is, and read as nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from markdown_it import MarkdownIt

from backcast.domain.capacity import Rate, Work
from backcast.domain.pace import Pace
from backcast.domain.reviews import NotReviewed, Review, ReviewFinding, ordered
from backcast.reports.review import review_annotations, review_json, review_markdown
from backcast.reports.review_files import write_review
from backcast.reports.review_sarif import review_sarif

if TYPE_CHECKING:
    from pathlib import Path

FINDING = ReviewFinding(
    path="a b,c:d.py",
    line_start=3,
    line_end=4,
    severity="high",
    category="security",
    title="50% of it, at once: yes\n::error ::no",
    why="First.\r\nSecond: 100%, \x1b[31mred",
    suggestion="Mend <b>it</b> [now](http://evil.example)",
    evidence="```\n::stop-commands::x",
)
REVIEW = Review(
    repository="/r",
    base="main",
    head="mine",
    merge_base="a" * 40,
    commit="b" * 40,
    model="m",
    prompt="v1",
    simulated=True,
    files=2,
    findings=(FINDING,),
    left_out=(NotReviewed("logo.png", "binary"),),
    unanswered=(NotReviewed("late.py", "no answer within 5 s", (10, 20)),),
    unchanged=0,
    requests=2,
    cost_usd=Decimal("0.0123"),
    risked_usd=Decimal(0),
    seconds=1.25,
)


def test_an_annotation_is_one_command_whatever_the_texts_hold() -> None:
    first, second = review_annotations(REVIEW)
    assert first == (
        "::error file=a b%2Cc%3Ad.py,line=3,endLine=4,title=high%3A 50%25 of it%2C at once%3A yes %3A%3Aerror %3A%3Ano"
        "::First.%0ASecond: 100%25, \ufffd[31mred%0AMend <b>it</b> [now](http://evil.example)"
    )
    assert second == "::warning file=late.py,line=10,title=not reviewed::no answer within 5 s"


@pytest.mark.parametrize(("severity", "command"), [("critical", "error"), ("medium", "warning"), ("low", "notice")])
def test_the_severity_decides_how_an_annotation_is_shown(severity: Any, command: str) -> None:
    [first, _] = review_annotations(replace(REVIEW, findings=(replace(FINDING, severity=severity),)))
    assert first.startswith(f"::{command} ")


def test_markdown_shows_the_diff_and_obeys_nothing_in_it() -> None:
    page = MarkdownIt("gfm-like").render(review_markdown(REVIEW))
    assert "<b>" not in page
    assert "evil.example" in page
    assert 'href="http' not in page
    assert "::stop-commands::x" in page
    assert "late.py:10-20" in page
    assert "binary" in page
    assert "No model was asked" in page


def test_sarif_names_each_finding_and_what_was_not_reviewed() -> None:
    [run] = json.loads(review_sarif(REVIEW))["runs"]
    [result] = run["results"]
    assert (result["ruleId"], result["ruleIndex"], result["level"]) == ("security", 0, "error")
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%20b%2Cc%3Ad.py", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 3, "endLine": 4, "snippet": {"text": FINDING.evidence}}
    [invocation] = run["invocations"]
    assert invocation["executionSuccessful"] is False
    told = [one["message"]["text"] for one in invocation["toolExecutionNotifications"]]
    assert told == ["not answered: no answer within 5 s", "left out: binary"]


def test_a_fingerprint_survives_lines_that_move_and_titles_that_are_worded_anew() -> None:
    moved = replace(FINDING, line_start=30, line_end=31, title="Other words", evidence=f"  {FINDING.evidence}")
    other = replace(FINDING, evidence="something else")
    prints = [
        json.loads(review_sarif(replace(REVIEW, findings=(one,))))["runs"][0]["results"][0]["partialFingerprints"]
        for one in (FINDING, moved, other)
    ]
    assert prints[0] == prints[1] != prints[2]


def test_findings_stand_by_path_and_line_each_once() -> None:
    later = replace(FINDING, line_start=4)
    milder = replace(FINDING, severity="low")
    assert ordered([later, milder, FINDING, later]) == (FINDING, milder, later)


def test_only_what_is_at_least_so_severe_counts() -> None:
    found = replace(REVIEW, findings=(FINDING, replace(FINDING, severity="critical"), replace(FINDING, severity="low")))
    counts = [len(found.at_or_above(severity)) for severity in ("critical", "high", "medium", "low")]
    assert counts == [1, 2, 2, 3]


def test_a_review_on_disk_is_whole_and_none_replaces_another(tmp_path: Path) -> None:
    folders = [write_review(REVIEW, tmp_path / "reviews", datetime(2026, 11, 24, tzinfo=UTC)) for _ in range(2)]
    assert folders[0] != folders[1]
    for folder in folders:
        assert sorted(file.name for file in folder.iterdir()) == ["review.json", "review.md", "review.sarif"]
        assert (folder / "review.json").read_bytes() == review_json(REVIEW)
    assert len(list((tmp_path / "reviews").iterdir())) == 2


def test_a_minute_of_requests_goes_at_once_and_the_rest_as_it_comes_back() -> None:
    pace = Pace(Rate(requests_per_minute=2, tokens_per_minute=1000), at=0)
    waits = [pace.wait(Work(1, 10), at=0) for _ in range(4)]
    assert waits == [0, 0, 30, 60]
    assert pace.wait(Work(1, 10), at=300) == 0


def test_more_tokens_than_a_minute_allows_wait_for_all_of_them() -> None:
    pace = Pace(Rate(requests_per_minute=100, tokens_per_minute=600), at=0)
    assert [pace.wait(Work(1, 5000), at=0), pace.wait(Work(1, 300), at=0)] == [0, 30]
