"""Labelled documents: what must, may and must not be found in them, and what was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backcast.domain.scores import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Expectation:
    """A passage that findings may be about.

    Attributes:
        lines: its first and last line, counted from 1, inclusive; None: the whole document.
        categories: of the findings that are meant; empty: any.
        about: what is there, for people.
    """

    lines: tuple[int, int] | None = None
    categories: tuple[str, ...] = ()
    about: str = ""

    def matches(self, finding: Mapping[str, Any]) -> bool:
        """Whether a finding is of one of the categories and shares a line with the passage."""
        if self.categories and finding["category"] not in self.categories:
            return False
        if self.lines is None:
            return True
        first, last = self.lines
        return bool(finding["line_start"] <= last and first <= finding["line_end"])


@dataclass(frozen=True, slots=True)
class LabelledDocument:
    """A document of which a person has said what is to be found in it.

    Attributes:
        name: tells it from the others of its workflow.
        path: what a request calls it.
        language: its format, which follows from the path.
        text: its content.
        must: each must be found; empty for a document in which nothing is wrong.
        may: counts neither for nor against.
        must_not: what looks like a problem and is none.
        about: what kind of document it is, for people.
    """

    name: str
    path: str
    language: str
    text: str
    must: tuple[Expectation, ...]
    may: tuple[Expectation, ...] = ()
    must_not: tuple[Expectation, ...] = ()
    about: str = ""


def compare(document: LabelledDocument, findings: Sequence[Mapping[str, Any]] | None) -> Found:
    """Hold what was found in a document against what is expected of it.

    A finding that matches what must be found is right, whatever else it matches; else, if it matches what must not be
    found, it is wrong and forbidden; else, if it matches what may be found, it is left out; else it is wrong. One
    finding may be about several passages and finds all of them. Several findings of one passage are right once, and
    the others left out: saying a thing again makes an answer neither better nor worse. A finding of several passages
    is counted for the first of them.

    Args:
        document: with its expectations.
        findings: of an accepted answer, each with `category`, `line_start`, `line_end` and `title`, in any order; None
            when there is no acceptable answer: then all that must be found was missed.
    """
    found: set[int] = set()
    right: set[int] = set()
    forbidden = 0
    unwanted = []
    for finding in sorted(findings or (), key=_place):
        expected = [number for number, one in enumerate(document.must) if one.matches(finding)]
        trap = next((one for one in document.must_not if one.matches(finding)), None)
        if expected:
            found.update(expected)
            right.add(expected[0])
        elif trap is not None:
            forbidden += 1
            unwanted.append(f"{_shown(document, finding)}; must not be found: {trap.about}")
        elif not any(one.matches(finding) for one in document.may):
            unwanted.append(f"{_shown(document, finding)}; neither expected nor allowed")
    missed = [one for number, one in enumerate(document.must) if number not in found]
    return Found(
        documents=1,
        expected=len(document.must),
        found=len(found),
        right=len(right),
        wrong=len(unwanted),
        forbidden=forbidden,
        missed=tuple(_described(document, one.lines, "/".join(one.categories), one.about) for one in missed),
        unwanted=tuple(unwanted),
    )


def total(found: Iterable[Found]) -> Found:
    """Return what was found in several documents together, and what should have been."""
    every = list(found)
    return Found(
        documents=sum(one.documents for one in every),
        expected=sum(one.expected for one in every),
        found=sum(one.found for one in every),
        right=sum(one.right for one in every),
        wrong=sum(one.wrong for one in every),
        forbidden=sum(one.forbidden for one in every),
        missed=tuple(line for one in every for line in one.missed),
        unwanted=tuple(line for one in every for line in one.unwanted),
    )


def _place(finding: Mapping[str, Any]) -> tuple[int, int, str, str]:
    return finding["line_start"], finding["line_end"], finding["category"], finding["title"]


def _shown(document: LabelledDocument, finding: Mapping[str, Any]) -> str:
    lines = (finding["line_start"], finding["line_end"])
    return _described(document, lines, finding["category"], finding["title"])


def _described(document: LabelledDocument, lines: tuple[int, int] | None, category: str, about: str) -> str:
    where = (
        "anywhere" if lines is None else f"lines {lines[0]}-{lines[1]}" if lines[0] < lines[1] else f"line {lines[0]}"
    )
    return f"{document.name} ({document.path}), {where}: " + ": ".join(part for part in (category, about) if part)
