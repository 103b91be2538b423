"""What pays off most comes first, and one bad file does not hide the rest."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from backcast.domain.report import Finding
from backcast.reports.ranking import PER_FILE_IN_TOP, TOP, pays_off_most, ranked

if TYPE_CHECKING:
    from backcast.domain.report import Effort, Severity


def finding(path: str = "a.py", line: int = 1, severity: Severity = "low", effort: Effort = "days") -> Finding:
    return Finding(
        fingerprint=f"{path}:{line}",
        status="new",
        path=path,
        line_start=line,
        line_end=line + 1,
        category="design",
        severity=severity,
        effort=effort,
        title="A title",
        why="",
        suggestion="",
        evidence="",
    )


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param(("high", "minutes"), ("critical", "days"), id="less effort beats one step of severity"),
        pytest.param(("critical", "hours"), ("high", "minutes"), id="of equal worth, the worse comes first"),
        pytest.param(("medium", "minutes"), ("low", "minutes"), id="of equal effort, the worse comes first"),
        pytest.param(("low", "minutes"), ("low", "hours"), id="of equal severity, the cheaper comes first"),
    ],
)
def test_severity_is_weighed_against_effort(better: tuple[Severity, Effort], worse: tuple[Severity, Effort]) -> None:
    first = finding("z.py", 9, *better)
    second = finding("a.py", 1, *worse)
    assert pays_off_most([second, first]) == [first, second]


def test_the_order_does_not_depend_on_the_order_of_arrival() -> None:
    findings = [finding(f"f{number % 7}.py", number) for number in range(40)]
    expected = pays_off_most(findings)
    shuffled = list(findings)
    random.Random(7).shuffle(shuffled)
    assert pays_off_most(shuffled) == expected


def test_one_bad_file_does_not_fill_the_top() -> None:
    bad = [finding("bad.py", line, "critical", "minutes") for line in range(1, 31)]
    others = [finding(f"f{number:02}.py") for number in range(30)]
    ranked = pays_off_most(bad + others)
    assert Counter(item.path for item in ranked[:TOP])["bad.py"] == PER_FILE_IN_TOP
    assert {item.path for item in ranked[TOP : TOP + 27]} == {"bad.py"}
    assert sorted(ranked, key=repr) == sorted(bad + others, key=repr)


def test_a_single_file_is_simply_ordered() -> None:
    findings = [finding("only.py", line) for line in range(1, 40)]
    assert pays_off_most(reversed(findings)) == findings


def test_the_worst_come_first_where_a_workflow_wants_it_whatever_they_cost_and_wherever_they_are() -> None:
    worst = [finding("bad.py", line, "critical", "days") for line in range(1, 6)]
    soon = finding("a.py", 1, "high", "minutes")
    later = finding("a.py", 2, "high", "hours")
    assert ranked([later, soon, *reversed(worst)], "worst") == [*worst, soon, later]
    assert ranked([*worst, soon], "pays_off")[0] == soon
