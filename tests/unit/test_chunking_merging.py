"""What the parts of a document find is merged in its order, and what two of them found is told once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backcast.chunking import PartFindings, in_document_lines, merge_findings


def _finding(start: int, end: int, *, category: str = "design", evidence: str = "x", title: str = "") -> dict[str, Any]:
    return {"line_start": start, "line_end": end, "category": category, "evidence": evidence, "title": title}


def test_findings_come_in_the_order_of_the_document() -> None:
    late = PartFindings(11, 20, (_finding(15, 15, evidence="c"), _finding(11, 12, evidence="b")))
    early = PartFindings(1, 10, (_finding(3, 9, evidence="a"),))
    assert [finding["evidence"] for finding in merge_findings([late, early])] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("same place and category", _finding(9, 10, evidence="another quote"), 1),
        ("same quote, other category", _finding(9, 10, category="naming"), 1),
        ("same quote, lines that meet", _finding(8, 9, evidence="  x "), 1),
        ("same quote, lines apart", _finding(7, 8), 2),
        ("same place, other category and quote", _finding(9, 10, category="naming", evidence="y"), 2),
        ("other lines, other quote", _finding(9, 9, evidence="y"), 2),
    ],
)
def test_what_overlapping_parts_both_found_is_kept_once(first: str, second: dict[str, Any], kept: int) -> None:
    parts = [PartFindings(1, 10, (_finding(9, 10),)), PartFindings(11, 20, (second,))]
    assert len(merge_findings(parts)) == kept, first


def test_two_findings_of_one_part_are_never_taken_for_the_same() -> None:
    findings = (_finding(3, 4), _finding(3, 4, category="naming"), _finding(3, 4, evidence="y"))
    assert len(merge_findings([PartFindings(1, 10, findings)])) == 3
    again = PartFindings(11, 20, (_finding(3, 4, category="naming", title="again"), _finding(3, 4, title="again")))
    assert len(merge_findings([again, PartFindings(1, 10, findings)])) == 3


def test_the_part_that_saw_all_of_it_is_believed() -> None:
    overlapping = PartFindings(11, 20, (_finding(8, 9, title="of the overlap"), _finding(9, 12, evidence="z")))
    owner = PartFindings(1, 10, (_finding(8, 9, title="of the owner"),))
    merged = merge_findings([overlapping, owner])
    assert [(finding["title"], finding["line_end"]) for finding in merged] == [("of the owner", 9), ("", 12)]


def test_what_two_parts_say_about_context_that_both_were_shown_is_kept_once() -> None:
    parts = [
        PartFindings(11, 20, (_finding(1, 1, evidence="import os", title="in the second"),)),
        PartFindings(21, 30, (_finding(1, 1, evidence="import os", title="in the third"),)),
        PartFindings(1, 10, ()),
    ]
    assert [finding["title"] for finding in merge_findings(parts)] == ["in the second"]


def test_line_numbers_that_count_from_the_part_are_mapped_back() -> None:
    (mapped,) = in_document_lines([_finding(1, 3, title="kept")], 41)
    assert (mapped["line_start"], mapped["line_end"], mapped["title"]) == (41, 43, "kept")


_FINDINGS = st.builds(
    lambda start, length, category, evidence: _finding(start, start + length, category=category, evidence=evidence),
    st.integers(1, 30),
    st.integers(0, 3),
    st.sampled_from(["design", "naming"]),
    st.sampled_from(["x", "y", "z"]),
)
_PARTS = st.lists(st.lists(_FINDINGS, max_size=6), max_size=6).map(
    lambda found: [PartFindings(1 + 5 * n, 5 + 5 * n, tuple(findings)) for n, findings in enumerate(found)]
)


@given(_PARTS, st.randoms(use_true_random=False))
def test_neither_the_order_of_parts_nor_of_their_findings_matters(parts: list[PartFindings], random: Any) -> None:
    mixed = [
        PartFindings(part.first, part.last, tuple(random.sample(part.findings, len(part.findings)))) for part in parts
    ]
    random.shuffle(mixed)
    assert merge_findings(mixed) == merge_findings(parts)


@given(_PARTS)
def test_merging_leaves_out_only_what_another_part_found_and_adds_nothing(parts: list[PartFindings]) -> None:
    merged = merge_findings(parts)
    everything = [finding for part in parts for finding in part.findings]
    assert all(finding in everything for finding in merged)
    assert merged == sorted(merged, key=lambda finding: (finding["line_start"], finding["line_end"]))
    for finding in everything:
        assert any(
            kept["evidence"] == finding["evidence"]
            or (kept["line_start"], kept["line_end"], kept["category"])
            == (finding["line_start"], finding["line_end"], finding["category"])
            for kept in merged
        )


@given(_PARTS)
def test_one_part_is_merged_to_all_that_it_found_and_a_part_read_twice_changes_nothing(
    parts: list[PartFindings],
) -> None:
    assert merge_findings([*parts, *parts]) == merge_findings(parts)
    for part in parts:
        assert len(merge_findings([part])) == len(part.findings)
