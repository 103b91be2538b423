"""What holds for any document, language, budget and counter."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from backcast.chunking import LineRange, Splitting, split
from backcast.chunking.grammars import LANGUAGES
from backcast.chunking.headings import PROSE
from backcast.domain.lines import number_lines, split_lines

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECES = [
    "import os",
    "#include <a.h>",
    "class A(B):",
    "def f(self):",
    "function f() {",
    "public class A {",
    "fn f() {",
    "func f() {",
    "if (x) {",
    "}",
    ")",
    "end",
    "return 1",
    '"""',
    "/* a",
    "*/",
    "// b",
    "@decorated",
    "'",
    '"',
    "`",
    "cat <<EOF",
    "# Heading",
    "## Below",
    "=====",
    "```",
    "<h2>Title</h2>",
    "x = [1, 2, 3]  # " + "long " * 20,
    "\x0c",
    "",
    "",
]
_LINES = st.one_of(
    st.builds(lambda indent, piece: " " * indent + piece, st.sampled_from([0, 0, 2, 4, 8]), st.sampled_from(_PIECES)),
    st.text(max_size=30),
)
_TEXTS = st.builds(
    lambda lines, end, last: end.join(lines) + last,
    st.lists(_LINES, max_size=60),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n"]),
)
_COUNTERS: list[Callable[[str], int]] = [
    len,
    lambda text: -(-len(text) // 3),
    lambda text: len(text.split()),
    lambda text: 1 + len(text) // 3 + zlib.crc32(text.encode("utf-8", "replace")) % 40,
    lambda text: len(text) + 60 * text.count("}"),
]
_DOCUMENTS = st.fixed_dictionaries(
    {
        "text": _TEXTS,
        "language": st.sampled_from([*sorted(LANGUAGES), *sorted(PROSE), "cobol"]),
        "budget_tokens": st.integers(1, 300),
        "count_tokens": st.sampled_from(_COUNTERS),
        "overlap_lines": st.integers(0, 8),
    }
)

# The first document of a language loads its grammar, which takes what it takes.
_WITHOUT_LIMIT = settings(deadline=None)


def _lines_in_order(splitting: Splitting) -> list[tuple[int, int]]:
    alone = [(unsplittable.line, unsplittable.line) for unsplittable in splitting.unsplittable]
    return sorted([(chunk.first, chunk.last) for chunk in splitting.chunks] + alone)


@_WITHOUT_LIMIT
@given(_DOCUMENTS)
def test_each_line_is_in_one_core_or_is_unsplittable(document: dict) -> None:
    splitting = split(**document)
    assert all(first <= last for first, last in _lines_in_order(splitting))
    numbers = [n for first, last in _lines_in_order(splitting) for n in range(first, last + 1)]
    assert numbers == list(range(1, len(split_lines(document["text"])) + 1))
    assert list(splitting.chunks) == sorted(splitting.chunks, key=lambda chunk: chunk.first)
    assert list(splitting.unsplittable) == sorted(splitting.unsplittable, key=lambda found: found.line)


@_WITHOUT_LIMIT
@given(_DOCUMENTS)
def test_no_part_is_above_the_budget_and_a_line_is_given_up_only_if_it_is_above_it_alone(document: dict) -> None:
    splitting = split(**document)
    count, budget = document["count_tokens"], document["budget_tokens"]
    assert all(count(chunk.numbered) <= budget for chunk in splitting.chunks)
    numbered = split_lines(number_lines(document["text"]))
    for unsplittable in splitting.unsplittable:
        assert unsplittable.tokens == count(numbered[unsplittable.line - 1]) > budget


@_WITHOUT_LIMIT
@given(_DOCUMENTS)
def test_the_same_document_is_split_the_same(document: dict) -> None:
    assert split(**document) == split(**document)


@_WITHOUT_LIMIT
@given(_DOCUMENTS)
def test_a_part_shows_the_lines_that_it_says_with_their_numbers_in_the_document(document: dict) -> None:
    numbered = split_lines(number_lines(document["text"]))
    for chunk in split(**document).chunks:
        assert 1 <= chunk.shown_first <= chunk.first <= chunk.last
        assert chunk.first - chunk.shown_first <= document["overlap_lines"]
        assert list(chunk.context) == sorted(chunk.context)
        assert all(lines.last < chunk.shown_first for lines in chunk.context)
        ranges = [*chunk.context, LineRange(chunk.shown_first, chunk.last)]
        expected = [numbered[n - 1] for lines in ranges for n in range(lines.first, lines.last + 1)]
        assert [line for line in chunk.numbered.split("\n") if line.strip() != "\N{VERTICAL ELLIPSIS}"] == expected
