"""What the parts of a document find is merged in its order, and what two of them found is told once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backcast.chunking import PartFindings, merge_findings


def _finding(start: int, end: int, *, category: str = "design", title: str = "") -> dict[str, Any]:
    return {"line_start": start, "line_end": end, "category": category, "title": title}


def test_findings_come_in_the_order_of_the_document() -> None:
    late = PartFindings(11, 20, (_finding(15, 15, title="c"), _finding(11, 12, title="b")))
    early = PartFindings(1, 10, (_finding(3, 9, title="a"),))
    assert [finding["title"] for finding in merge_findings([late, early])] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("what", "second", "kept"),
    [
        ("in the overlap, which another part ends with", _finding(9, 10), ["first"]),
        ("another in the overlap", _finding(8, 10, category="naming"), ["first"]),
        ("in what is shown as context", _finding(1, 1, category="naming"), ["first"]),
        ("beyond the part", _finding(15, 21), ["first"]),
        ("the same line and category", _finding(9, 12), ["first"]),
        ("the same line, other category", _finding(9, 12, category="naming"), ["first", "second"]),
        ("lines that meet", _finding(10, 12), ["first", "second"]),
        ("lines apart", _finding(11, 12), ["first", "second"]),
    ],
)
def test_what_overlapping_parts_both_found_is_kept_once(what: str, second: dict[str, Any], kept: list[str]) -> None:
    parts = [
        PartFindings(1, 10, (_finding(9, 10, title="first"),)),
        PartFindings(11, 20, ({**second, "title": "second"},)),
    ]
    assert [finding["title"] for finding in merge_findings(parts)] == kept, what


def test_two_findings_of_one_part_are_never_taken_for_the_same() -> None:
    findings = (_finding(3, 4), _finding(3, 4, category="naming"), _finding(3, 4, title="another"), _finding(3, 6))
    assert len(merge_findings([PartFindings(1, 10, findings)])) == len(findings)


_FINDINGS = st.builds(
    lambda start, length, category, title: _finding(start, start + length, category=category, title=title),
    st.integers(1, 30),
    st.integers(0, 12),
    st.sampled_from(["design", "naming"]),
    st.sampled_from(["x", "y", "z"]),
)
_PARTS = st.lists(st.lists(_FINDINGS, max_size=6), max_size=6).map(
    lambda found: [PartFindings(1 + 5 * n, 5 + 5 * n, tuple(findings)) for n, findings in enumerate(found)]
)


def _merged(parts: list[PartFindings]) -> list[PartFindings]:
    """Merge neighbours into a part that is answered by what is merged of them."""
    return [PartFindings(parts[0].first, parts[-1].last, tuple(merge_findings(parts)))] if parts else []


@given(_PARTS, st.data())
def test_merging_is_associative(parts: list[PartFindings], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(parts)))
    last = data.draw(st.integers(cut, len(parts)))
    in_steps = [*_merged(parts[:cut]), *_merged(parts[cut:last]), *parts[last:]]
    assert merge_findings(in_steps) == merge_findings(parts)


@given(_PARTS, st.randoms(use_true_random=False))
def test_neither_the_order_of_parts_nor_of_their_findings_matters(parts: list[PartFindings], random: Any) -> None:
    mixed = [
        PartFindings(part.first, part.last, tuple(random.sample(part.findings, len(part.findings)))) for part in parts
    ]
    random.shuffle(mixed)
    assert merge_findings(mixed) == merge_findings(parts)


@given(_PARTS)
def test_nothing_is_left_out_but_what_an_earlier_part_tells_of_the_same_line(parts: list[PartFindings]) -> None:
    merged = merge_findings(parts)
    own = [
        (part, finding) for part in parts for finding in part.findings if part.first <= finding["line_end"] <= part.last
    ]
    assert all(any(finding is kept for _, finding in own) for kept in merged)
    for part, finding in own:
        same = [
            other.first
            for other, told in own
            if (told["line_start"], told["category"]) == (finding["line_start"], finding["category"])
        ]
        assert any(finding is kept for kept in merged) == (part.first == min(same))


@given(_PARTS)
def test_a_part_that_is_read_twice_changes_nothing(parts: list[PartFindings]) -> None:
    assert merge_findings([*parts, *parts]) == merge_findings(parts)
