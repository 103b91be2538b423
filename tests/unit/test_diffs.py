"""Hunks keep their numbers however they are divided."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backcast.domain.diffs import ADDED, REMOVED, Hunk, new_ranges, pieces, touched_lines

LINES = st.lists(st.tuples(st.sampled_from(" +-"), st.text("ab é", max_size=12)).map("".join), min_size=1, max_size=40)


@st.composite
def hunks_of_a_file(draw: st.DrawFn) -> list[Hunk]:
    old = new = draw(st.integers(1, 50))
    hunks = []
    for lines in draw(st.lists(LINES, min_size=1, max_size=5)):
        hunk = Hunk(old, new, tuple(lines))
        hunks.append(hunk)
        gap = draw(st.integers(1, 30))
        old, new = old + hunk.old_count + gap, new + hunk.new_count + gap
    return hunks


def numbered(hunks: list[Hunk]) -> list[tuple[int, str]]:
    return [line for hunk in hunks for line in hunk.numbered()]


@given(hunks_of_a_file(), st.integers(1, 400))
def test_pieces_hold_every_line_once_in_order_under_its_number(hunks: list[Hunk], most: int) -> None:
    packed = pieces(hunks, most)
    assert numbered([hunk for piece in packed for hunk in piece]) == numbered(hunks)
    assert all(packed)


@given(hunks_of_a_file(), st.integers(60, 400))
def test_a_piece_takes_no_more_than_is_allowed_as_a_request_shows_it(hunks: list[Hunk], most: int) -> None:
    for piece in pieces(hunks, most):
        lines = [line for hunk in piece for line in hunk.lines]
        in_diff = sum(len(line.encode()) + 1 for line in lines)
        beside = sum(len(line[1:].encode()) + 1 for line in lines if line[0] != REMOVED)
        assert in_diff + beside <= most


@given(hunks_of_a_file())
def test_whatever_is_added_is_touched_and_nothing_else_but_where_lines_only_go(hunks: list[Hunk]) -> None:
    touched = touched_lines(hunks)
    assert {number for number, line in numbered(hunks) if line[0] == ADDED} <= touched
    if not any(line[0] == REMOVED for _, line in numbered(hunks)):
        assert touched == {number for number, line in numbered(hunks) if line[0] == ADDED}


@pytest.mark.parametrize(
    ("lines", "header", "touched"),
    [
        ((" a", "-b", "+c", " d"), "@@ -7,3 +9,3 @@ def f():", {10}),
        ((" a", "-b", " d"), "@@ -7,3 +9,2 @@ def f():", {9, 10}),
        (("+a",), "@@ -6,0 +9,1 @@ def f():", {9}),
        (("-a",), "@@ -7,1 +8,0 @@ def f():", {8, 9}),
    ],
)
def test_a_hunk_is_written_as_git_writes_it(lines: tuple[str, ...], header: str, touched: set[int]) -> None:
    hunk = Hunk(7, 9, lines, "def f():")
    assert hunk.text == "\n".join((header, *lines))
    assert touched_lines([hunk]) == touched


def test_new_sides_are_first_and_last_lines_of_what_is_left() -> None:
    hunks = [Hunk(1, 1, (" a", "+b")), Hunk(9, 10, ("-c",)), Hunk(20, 20, ("-d", "+e", "+f"))]
    assert new_ranges(hunks) == [(1, 2), (20, 21)]
