"""What is checked of an audit, what a verdict is worth, and the weeks that trends are told by."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from tests.unit.test_reports_json import report

from backcast.domain.advice import place_of
from backcast.domain.audit import (
    Audit,
    AuditWeek,
    Candidate,
    CheckTerms,
    FindingCheck,
    Quotation,
    check_key,
    judged,
    same_place,
    standing,
    to_ask,
    verified_first,
    worth_a_check,
)
from backcast.domain.report import Finding
from backcast.domain.weeks import weeks_until
from backcast.reports.audit_sarif import audit_sarif
from backcast.reports.markdown import render_markdown
from backcast.reports.trend_chart import draw_weeks

TEXT = "import os\n\n\ndef run(command):\n    os.system(command)\n"
FILES = {"a.py": TEXT, "b.py": "from a import run\n\nrun('ls')\n"}


def finding(name: str = "f", **changes: Any) -> Finding:
    made = Finding(
        name,
        "new",
        "a.py",
        5,
        5,
        "security",
        "high",
        "minutes",
        "Shell injection",
        "Why",
        "What",
        "    os.system(command)",
    )
    return replace(made, **changes)


def quoted(path: str, first: int, last: int, quote: str) -> dict[str, Any]:
    return {"path": path, "line_start": first, "line_end": last, "quote": quote}


def answer(verdict: str, *evidence: dict[str, Any]) -> dict[str, Any]:
    return {"verdict": verdict, "reason": "Because.", "evidence": list(evidence)}


HERE = quoted("a.py", 5, 5, "os.system(command)")


@pytest.mark.parametrize(
    ("said", "speaks", "verdict", "reason"),
    [
        (answer("verified", HERE), "", "verified", "Because."),
        (answer("refuted", HERE, quoted("b.py", 3, 3, "run('ls')")), "", "refuted", "Because."),
        # A number that is off is no reason to doubt a quotation that is there.
        (answer("verified", quoted("a.py", 40, 40, "os.system(command)")), "", "verified", "Because."),
        (
            answer("verified", HERE, quoted("b.py", 3, 3, "run(user)")),
            "",
            "unclear",
            "does not stand in b.py. Because.",
        ),
        (answer("refuted", quoted("../etc/passwd", 1, 1, "root")), "", "unclear", "does not stand in ../etc/passwd."),
        (answer("refuted"), "", "unclear", "It was said to be refuted, but nothing was quoted for it. Because."),
        (answer("refuted", HERE), "b.py:1", "unclear", "but b.py:1 seems to speak to the model."),
        (answer("verified", HERE), "b.py:1", "verified", "Because."),
        (answer("unclear"), "", "unclear", "Because."),
    ],
)
def test_a_verdict_counts_only_with_quotations_that_stand_in_the_repository(
    said: dict[str, Any], speaks: str, verdict: str, reason: str
) -> None:
    found = judged(said, FILES.get, speaks)
    assert found.verdict == verdict
    assert reason in found.reason


def test_a_quotation_is_told_at_the_lines_where_it_stands() -> None:
    said = answer("verified", quoted("a.py", 1, 2, "def run(command):\n    os.system(command)"))
    assert judged(said, FILES.get).evidence == (Quotation("a.py", 4, 5, "def run(command):\n    os.system(command)"),)


def test_a_quotation_within_a_long_range_is_told_at_its_own_lines() -> None:
    said = answer("verified", quoted("a.py", 1, 5, "os.system(command)"))
    assert judged(said, FILES.get).evidence == (Quotation("a.py", 5, 5, "os.system(command)"),)


def test_a_quotation_is_looked_for_at_once_in_a_file_whose_lines_are_all_alike() -> None:
    # Looked for line by line, this takes minutes, in which nothing else goes on.
    lines = ["x"] * 1_000_000
    assert place_of("x\n" * 2_000 + "y", "\n".join([*lines, "y"])) == len(lines) - 2_000 + 1
    assert place_of("x\n" * 2_000 + "y", "\n".join(lines)) is None


def test_the_first_that_are_not_known_are_asked_about_each_once() -> None:
    candidates = [Candidate(finding(name), "content", name) for name in ("a", "b", "b", "c", "d")]
    assert [one.check_key for one in to_ask(candidates, {"a": 1}, 2)] == ["b", "c"]
    assert to_ask(candidates, {}, 0) == []
    assert to_ask(candidates, {}, -3) == []


def test_whatever_changes_a_verdict_makes_another_check() -> None:
    same = ("w", "/r", "f", "content", "prompt", "model")
    keys = {check_key(*same, simulated=False), check_key(*same, simulated=True)}
    keys |= {check_key(*same[:at], "other", *same[at + 1 :], simulated=False) for at in range(len(same))}
    assert len(keys) == 2 + len(same)


def test_findings_of_one_place_overlap_and_quote_a_line_in_common() -> None:
    other = finding("g", category="error_handling", evidence="def run(command):\n    os.system(command)", line_start=4)
    assert same_place(finding(), other)
    # A long function that is too complex has much within it that is another matter.
    assert not same_place(finding(), replace(other, line_start=1, line_end=90, evidence="def run(command):"))
    assert not same_place(finding(), replace(other, path="b.py"))
    assert not same_place(finding(), replace(other, line_start=40, line_end=41))


def test_another_workflows_finding_is_worth_a_check_when_it_is_severe_and_of_a_kind_that_is_looked_for() -> None:
    categories = ("security", "licence")
    assert worth_a_check(finding(), categories)
    assert not worth_a_check(finding(severity="medium"), categories)
    assert not worth_a_check(finding(category="design"), categories)
    assert standing(finding(), TEXT) == (5, 5)
    assert standing(finding(line_start=90, line_end=90), TEXT) == (5, 5)
    assert standing(finding(evidence="os.system(other)"), TEXT) is None


def weeks(moment: datetime, zone: str = "Europe/Berlin", count: int = 3) -> list[tuple[str, str, int]]:
    found = weeks_until(moment, zone, count)
    return [
        (week.name, f"{week.begins:%m-%d %H:%M}", int((week.ends - week.begins) / timedelta(hours=1))) for week in found
    ]


def test_weeks_are_those_of_the_zone_an_hour_longer_or_shorter_when_its_clock_changes() -> None:
    assert weeks(datetime(2026, 3, 30, 6, tzinfo=UTC)) == [
        ("2026-W12", "03-15 23:00", 168),
        ("2026-W13", "03-22 23:00", 167),
        ("2026-W14", "03-29 22:00", 168),
    ]
    assert weeks(datetime(2026, 10, 26, 7, tzinfo=UTC), count=2)[0] == ("2026-W43", "10-18 22:00", 169)
    # Sunday in UTC, Monday in Berlin.
    assert weeks(datetime(2026, 11, 22, 23, 30, tzinfo=UTC), count=1)[0][0] == "2026-W48"
    assert weeks(datetime(2026, 11, 22, 23, 30, tzinfo=UTC), "UTC", 1)[0][0] == "2026-W47"


def test_weeks_are_counted_as_iso_does_over_the_end_of_a_year() -> None:
    found = weeks_until(datetime(2027, 1, 4, 7, tzinfo=UTC), "Europe/Berlin", 3)
    assert [(week.name, week.monday) for week in found] == [
        ("2026-W52", date(2026, 12, 21)),
        ("2026-W53", date(2026, 12, 28)),
        ("2027-W01", date(2027, 1, 4)),
    ]
    assert all(one.ends == other.begins for one, other in itertools.pairwise(found))


def check(name: str, verdict: Any, **more: Any) -> FindingCheck:
    return FindingCheck(name, verdict, f"Reason of {name}.", (Quotation("a.py", 5, 5, "os.system(command)"),), **more)


def week(name: str, run_id: int | None, **more: Any) -> AuditWeek:
    counts = dict.fromkeys(("critical", "high", "medium", "low", "new", "fixed", "verified", "refuted", "unclear"), 0)
    return AuditWeek(
        week=name,
        begins=date(2026, 11, 23),
        run_id=run_id,
        beside=None,
        cost_usd=Decimal(0),
        **{"audits": 1, **counts, **more},
    )


AUDIT = Audit(
    terms=CheckTerms(),
    checks=(check("bad", "refuted", asked=True, run_id=1), check("good", "verified", asked=True, run_id=1)),
    conversations=2,
    cost_usd=Decimal("0.02"),
    risked_usd=Decimal(0),
    weeks=(week("2026-W47", None, audits=0), week("2026-W48", 1, high=3)),
    zone="Europe/Berlin",
)
FINDINGS = (finding("bad", title="Not so"), finding("open", title="Not checked"), finding("good", title="True"))


def audited() -> Any:
    return report(findings=verified_first(FINDINGS, AUDIT), audit=AUDIT)


def test_the_verified_come_first_and_the_refuted_have_a_section_of_their_own() -> None:
    lines = render_markdown(audited()).splitlines()
    titles = [line for line in lines if line.startswith("### ")]
    assert titles == ["### 1. True", "### 2. Not checked", "### Not so"]
    assert lines.index("## Refuted") < lines.index("### Not so")
    assert "**Check: verified.** Reason of good. Quoted: `a.py:5-5`." in lines
    assert "**Check: refuted.** Reason of bad. Quoted: `a.py:5-5`." in lines
    assert any(line.startswith("| Findings | 2: ") for line in lines)
    assert "| Checked | 1 verified, 1 refuted, 0 unclear; 2 findings were asked about for $0.0200 |" in lines
    assert [line.split(" | ")[2] for line in lines if line.startswith("| 2026-W")] == ["no audit", "0"]


def test_a_report_whose_findings_are_all_refuted_says_so() -> None:
    checks = tuple(replace(check, fingerprint="bad", verdict="refuted") for check in AUDIT.checks[:1])
    audit = replace(AUDIT, checks=checks)
    lines = render_markdown(replace(audited(), findings=FINDINGS[:1], audit=audit)).splitlines()
    assert "No findings but those that a check has refuted, below." in lines


def test_a_refuted_finding_is_a_suppressed_result_with_its_reason() -> None:
    log = json.loads(audit_sarif(audited(), AUDIT))
    [run] = log["runs"]
    results = {one["partialFingerprints"]["backcast/v1"]: one for one in run["results"]}
    assert [one["properties"].get("verdict") for one in run["results"]] == ["verified", None, "refuted"]
    [suppression] = results["bad"]["suppressions"]
    assert suppression == {"kind": "external", "status": "accepted", "justification": "Reason of bad."}
    assert "suppressions" not in results["good"]
    [place] = results["good"]["relatedLocations"]
    assert place["physicalLocation"]["region"]["startLine"] == 5
    assert results["good"]["baselineState"] == "new"
    assert run["tool"]["driver"]["rules"][results["good"]["ruleIndex"]] == {"id": "security"}
    # Not to replace what else is uploaded of the same tool, such as reviews of changes.
    assert run["automationDetails"] == {"id": "nightly_tech_debt/1"}
    # A document that was not audited.
    assert run["invocations"][0]["executionSuccessful"] is False


def test_no_text_of_a_finding_or_a_verdict_is_a_link_in_sarif() -> None:
    link = "See [the fix](https://example.org/x), [1](2)."
    hostile = replace(finding("bad"), title=link, why=link, suggestion=link)
    audit = replace(AUDIT, checks=(replace(AUDIT.checks[0], fingerprint="bad", reason=link),))
    assert b"](" not in audit_sarif(replace(audited(), findings=(hostile,), audit=audit), audit)


def test_the_picture_of_the_weeks_holds_no_script_and_says_where_there_was_no_audit() -> None:
    picture = draw_weeks("weekly_code_audit", AUDIT)
    root = ET.fromstring(picture)
    assert not [one for one in root.iter() if one.tag.endswith("script")]
    texts = [one.text for one in root.iter() if one.text]
    assert "2026-W47: no audit" in texts
    assert "2026-W48" in texts
