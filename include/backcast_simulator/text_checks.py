"""What can be told from a file's text alone: notes left behind, code commented out, errors caught and dropped."""

from __future__ import annotations

import ast
import re
from itertools import groupby
from typing import TYPE_CHECKING

from backcast_simulator.findings import Finding, Source, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOTE = re.compile(r"(?:^|\s)(?:#+|//+|/\*+|\*|--|;+|<!--)\s*@?(?P<word>TODO|FIXME|HACK|XXX)\b[\s:(\-]*(?P<rest>.*)")
_NOTE_WORDS = 3
_EMPTY_CATCH = re.compile(r"\bcatch\s*(\([^()]*\))?\s*\{\s*\}")
_CATCHING = frozenset({"js", "jsx", "mjs", "cjs", "ts", "tsx", "vue", "java", "kt", "cs", "php", "swift", "scala"})
_CODE_IN_COMMENT = 5
_UNWRAPS = 12
_RUST_TESTS = re.compile(r"^\s*#\[cfg\(test\)\]")


def check(source: Source) -> Iterator[Finding]:
    """All findings of this module's checks."""
    yield from _notes(source)
    if source.suffix in _CATCHING:
        yield from _empty_catches(source)
    if source.suffix == "py":
        yield from _python_in_comments(source)
    if source.suffix == "rs":
        yield from _unwraps(source)


def _notes(source: Source) -> Iterator[Finding]:
    found = [(n, m) for n, line in enumerate(source.lines, 1) if (m := _NOTE.search(line))]
    telling = [(n, m) for n, m in found if len(m["rest"].split()) >= _NOTE_WORDS]
    if not telling:
        return
    number, match = telling[0]
    others = ", ".join(str(n) for n, _ in telling[1:])
    also = f" There are more at lines {others}." if others else ""
    yield Finding(
        title=f"{match['word']} left at line {number}: {match['rest'].strip(' */->')[:80]}",
        category="documentation",
        severity="low",
        effort="hours",
        line_start=number,
        line_end=number,
        evidence=source.quote(number, number),
        why=f"The comment says that work here is unfinished, and only readers of this file know.{also}",
        suggestion="Do what it says, or open an issue and put its number here.",
    )


def _empty_catches(source: Source) -> Iterator[Finding]:
    for match in _EMPTY_CATCH.finditer(source.text):
        start = source.text.count("\n", 0, match.start()) + 1
        end = start + match.group().count("\n")
        if _NOTE_START.match(source.line(start)):
            continue
        yield Finding(
            title=f"An empty catch block at line {start} drops every error",
            category="error_handling",
            severity="medium",
            effort="minutes",
            line_start=start,
            line_end=end,
            evidence=source.quote(start, end),
            why="The block is empty and has no comment: whatever goes wrong in the code before it leaves no trace.",
            suggestion="Handle or log the error, or say in a comment why it does not matter.",
        )


_NOTE_START = re.compile(r"^\s*(//|\*|/\*|#)")


def _python_in_comments(source: Source) -> Iterator[Finding]:
    numbered = enumerate(source.lines, 1)
    for is_comment, group in groupby(numbered, key=lambda pair: pair[1].lstrip().startswith("#")):
        lines = list(group)
        if is_comment and len(lines) >= _CODE_IN_COMMENT and _is_code([line for _, line in lines]):
            start, end = lines[0][0], lines[-1][0]
            yield Finding(
                title=f"{plural(len(lines), 'line')} of code commented out at lines {start}-{end}",
                category="dead_code",
                severity="low",
                effort="minutes",
                line_start=start,
                line_end=end,
                evidence=source.quote(start, end),
                why="These lines are Python that does not run; nobody can tell whether they still would.",
                suggestion="Delete them; the history of the repository keeps them.",
            )


def _is_code(comment: list[str]) -> bool:
    bodies = [line.lstrip().removeprefix("#") for line in comment]
    margin = min((len(b) - len(b.lstrip()) for b in bodies if b.strip()), default=0)
    try:
        tree = ast.parse("\n".join(body[margin:] for body in bodies))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    weighty = (ast.Assign, ast.AugAssign, ast.If, ast.For, ast.While, ast.Return, ast.FunctionDef, ast.ClassDef)
    return sum(isinstance(n, weighty) or _is_call(n) for n in tree.body) * 2 >= len(tree.body) > 1


def _is_call(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def _unwraps(source: Source) -> Iterator[Finding]:
    tests = next((n for n, line in enumerate(source.lines, 1) if _RUST_TESTS.match(line)), len(source.lines) + 1)
    places = [
        n for n, line in enumerate(source.lines[: tests - 1], 1)
        if ".unwrap()" in line and not line.lstrip().startswith("//")
    ]  # fmt: skip
    if len(places) < _UNWRAPS:
        return
    first = ", ".join(map(str, places[:5]))
    yield Finding(
        title=f"{len(places)} lines call `.unwrap()` outside the tests",
        category="error_handling",
        severity="low",
        effort="hours",
        line_start=places[0],
        line_end=places[-1],
        evidence=source.quote(places[0], places[0]),
        why=f"Each of them panics where an error could be returned; the first are at lines {first}.",
        suggestion="Return the errors with `?`, and use `expect` with a reason where a panic is right.",
    )
