"""Passages that stand twice in one file."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from backcast_simulator.findings import Finding, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WINDOW = 8
_MIN_CHARACTERS = 200
_MIN_DISTINCT = 6
_MIN_STATEMENTS = 5
_LONG_PASSAGE = 25
_MAX_PLACES = 50
_SHOWN = 3

_COMMENT = re.compile(r"^(#|//|/\*|\*|--|<!--|;;)")
_BORING = re.compile(
    r"^(import|from|using|#include|package|use|export \{|require)\b|^[\"'\[\](){},;:\s\d.xXa-fA-F-]*$"
    r"|^\"?[\w.-]+\"?\s*:\s*[\"'\d\[{].*,?$|^[\"'].*[\"'],?$"
)
_STRING = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")
_STATEMENT = re.compile(r"[=(]|^(return|if|for|while|else|raise|throw|yield|await)\b")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where passages may begin and end: line numbers of statements, and of the function that each line is in."""

    starts: frozenset[int]
    ends: frozenset[int]
    function_of: dict[int, int]


def passages(source: Source, layout: Layout | None = None) -> Iterator[Finding]:
    """Runs of at least eight equal lines of code in two places.

    With a layout, only whole statements inside of one function count; else only runs whose brackets balance.
    """
    numbers, texts = _code(source, layout)
    for first, second, found in _longest_pairs(texts):
        for offset, length in _whole_parts(numbers, texts, (first, second, found), layout):
            here, there = first + offset, second + offset
            if length >= WINDOW and _is_substantial(texts[here : here + length]):
                yield _finding(
                    source,
                    (numbers[here], numbers[here + length - 1]),
                    (numbers[there], numbers[there + length - 1]),
                    length,
                )


def _whole_parts(
    numbers: list[int], texts: list[str], pair: tuple[int, int, int], layout: Layout | None
) -> Iterator[tuple[int, int]]:
    """(offset, length) of the parts of a pair of runs that can be moved as they are."""
    first, second, length = pair
    if layout is None:
        yield _balanced(texts[first : first + length])
        return

    def owners(offset: int) -> tuple[int | None, int | None]:
        return layout.function_of.get(numbers[first + offset]), layout.function_of.get(numbers[second + offset])

    def in_both(offset: int, lines: frozenset[int]) -> bool:
        return numbers[first + offset] in lines and numbers[second + offset] in lines

    for _, group in groupby(range(length), key=owners):
        offsets = list(group)
        starts = [o for o in offsets if in_both(o, layout.starts)]
        ends = [o for o in offsets if in_both(o, layout.ends)]
        if starts and ends:
            yield starts[0], ends[-1] - starts[0] + 1


def _balanced(run: list[str]) -> tuple[int, int]:
    """(lines to skip, length) of the longest part of a run that begins with no closer and closes what it opens."""
    skipped = 0
    while skipped < len(run) and run[skipped][0] in ")]}":
        skipped += 1
    level = longest = 0
    for index, text in enumerate(run[skipped:], 1):
        bare = _STRING.sub("", text)
        level += sum(map(bare.count, "([{")) - sum(map(bare.count, ")]}"))
        if level < 0:
            break
        if level == 0:
            longest = index
    return skipped, longest


def _code(source: Source, layout: Layout | None) -> tuple[list[int], list[str]]:
    numbers: list[int] = []
    texts: list[str] = []
    for number, line in enumerate(source.lines, 1):
        text = line.strip()
        if text and not _COMMENT.match(text) and (layout is None or number in layout.function_of):
            numbers.append(number)
            texts.append(text)
    return numbers, texts


def _longest_pairs(texts: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """(first, second, length) of equal runs that do not overlap and are in no longer one, by first line."""
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index in range(len(texts) - WINDOW + 1):
        places[tuple(texts[index : index + WINDOW])].append(index)
    covered = 0
    for index in range(len(texts) - WINDOW + 1):
        if index < covered:
            continue
        later = [p for p in places[tuple(texts[index : index + WINDOW])][:_MAX_PLACES] if p >= index + WINDOW]
        if later:
            best = max(later, key=lambda p: (_run(texts, index, p), -p))
            length = _run(texts, index, best)
            covered = index + length
            yield index, best, length


def _run(texts: Sequence[str], first: int, second: int) -> int:
    length = 0
    while first + length < second and second + length < len(texts) and texts[first + length] == texts[second + length]:
        length += 1
    return length


def _is_substantial(run: list[str]) -> bool:
    telling = [text for text in run if not _BORING.match(text)]
    return (
        len(set(telling)) >= _MIN_DISTINCT
        and sum(map(len, telling)) >= _MIN_CHARACTERS
        and sum(_STATEMENT.search(text) is not None for text in telling) >= _MIN_STATEMENTS
    )


def _finding(source: Source, here: tuple[int, int], there: tuple[int, int], length: int) -> Finding:
    return Finding(
        title=f"{length} lines of code at {here[0]}-{here[1]} stand again at {there[0]}-{there[1]}",
        category="duplication",
        severity="medium",
        effort="hours",
        line_start=here[0],
        line_end=here[1],
        evidence=source.quote(here[0], here[1], most=_SHOWN),
        why=(
            f"Lines {here[0]}-{here[1]} and {there[0]}-{there[1]} are the same {length} lines of code, from "
            f"`{source.snippet(here[0])}` to `{source.snippet(here[1])}`; a change to one has to be made in both."
        ),
        suggestion=f"Move the passage into one function and call it at lines {here[0]} and {there[0]}.",
    )
