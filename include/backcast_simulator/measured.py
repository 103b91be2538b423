"""Functions that are too much: one finding for each, from what was measured, whatever the language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backcast_simulator.findings import Effort, Finding, Severity, Source, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

_HIGH_CCN = 25
_EXTREME_CCN = 40
_MEDIUM_CCN = 15
_NOTABLE_CCN = 10
_DEEP = 5
_FLAT = 2
_LONG = 100
_HUGE = 200
_DAYS_LINES = 300
_DAYS_CCN = 60
_MANY_PARAMETERS = 8
_DISPATCH_SHARE = 0.6
_BLOCK_WORTH_MOVING = 8
_MAX_BLOCK_SHARE = 0.8
_MAX_BRANCH_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Block:
    """A block of statements inside a function: its lines and how many branches it holds."""

    start: int
    end: int
    branches: int

    @property
    def lines(self) -> int:
        """How many lines it spans."""
        return self.end - self.start + 1


@dataclass(frozen=True, slots=True)
class Measured:
    """One function's measures.

    `code_lines` leaves out blank lines, comments and docstrings. `depth` counts nested control statements, and
    `deepest_line` is the first line at that depth. `flat_branches` are the arms of the longest if/elif or
    switch chain, `inline_branches` those inside of expressions. `head_end` is the last line of the signature.
    `positional` are parameters that callers can pass by position; None when that was not told.
    """

    name: str
    start: int
    end: int
    code_lines: int
    ccn: int
    depth: int
    deepest_line: int
    flat_branches: int
    positional: tuple[str, ...]
    blocks: tuple[Block, ...] = ()
    returns: int = 0
    signature_is_given: bool = False
    head_end: int = 0
    inline_branches: int = 0

    @property
    def is_dispatcher(self) -> bool:
        """Whether most of its paths are the arms of one chain, each short to read."""
        return self.flat_branches >= _DISPATCH_SHARE * self.ccn


def chosen_blocks(candidates: list[Block], span: int, ccn: int) -> tuple[Block, ...]:
    """At most two blocks worth moving out of a function of `span` lines: those with the most branches.

    A block that is nearly the whole function is left out: moving it would only rename the problem.
    """
    fitting = [block for block in candidates if block.lines <= _MAX_BLOCK_SHARE * span]
    fitting = [block for block in fitting if block.branches <= _MAX_BRANCH_SHARE * ccn] or fitting
    fitting.sort(key=lambda block: (-block.branches, -block.lines, block.start))
    chosen: list[Block] = []
    for block in fitting:
        if all(block.end < other.start or block.start > other.end for other in chosen):
            chosen.append(block)
    return tuple(chosen[:2])


def findings_of(source: Source, functions: list[Measured]) -> Iterator[Finding]:
    """At most one finding about the size of each function, and one about its parameters."""
    for function in functions:
        size = _size(source, function)
        if size is not None:
            yield size
        parameters = _parameters(source, function)
        if parameters is not None:
            yield parameters


def _severity(f: Measured) -> Severity | None:
    if f.ccn >= _EXTREME_CCN or (f.ccn >= _MEDIUM_CCN and f.code_lines >= _HUGE):
        return "high"
    if f.ccn >= _HIGH_CCN and f.depth > _FLAT:
        return "high"
    if f.ccn >= _MEDIUM_CCN or (f.ccn >= _NOTABLE_CCN and (f.depth >= _DEEP or f.code_lines >= _LONG)):
        return "medium"
    return "low" if f.depth >= _DEEP or f.code_lines >= _HUGE else None


def _size(source: Source, f: Measured) -> Finding | None:
    severity = _severity(f)
    if severity is None:
        return None
    effort: Effort = "days" if f.code_lines >= _DAYS_LINES or f.ccn >= _DAYS_CCN else "hours"
    finding = Finding(
        title=_title(f),
        category="complexity",
        severity=severity,
        effort=effort,
        line_start=f.start,
        line_end=f.end,
        evidence=source.quote(f.start, max(f.start, f.head_end)),
        why=_why(source, f),
        suggestion=_suggestion(source, f),
    )
    if f.depth <= 1 and f.inline_branches >= _DISPATCH_SHARE * f.ccn:
        return finding.lowered("Most of them stand side by side in single expressions, which reads more easily.")
    if f.is_dispatcher:
        reason = f"{f.flat_branches} of the paths are arms of one chain, which reads more easily than the number says."
        return finding.lowered(reason)
    return finding


def _title(f: Measured) -> str:
    if f.ccn >= _NOTABLE_CCN:
        deep = f", nested {f.depth} deep" if f.depth >= _DEEP else ""
        return f"`{f.name}` has cyclomatic complexity {f.ccn} in {f.code_lines} lines of code{deep}"
    if f.depth >= _DEEP:
        return f"`{f.name}` nests control flow {f.depth} levels deep"
    return f"`{f.name}` is {f.code_lines} lines of code long"


def _why(source: Source, f: Measured) -> str:
    if f.ccn < _NOTABLE_CCN and f.depth < _DEEP:
        return (
            f"`{f.name}` runs over lines {f.start}-{f.end} with hardly a branch (complexity {f.ccn}): it is long, "
            "not intricate, but nothing in it can be read or tested apart."
        )
    parts = [f"`{f.name}` (lines {f.start}-{f.end}) has {f.ccn} independent paths, each of which needs a test"]
    if f.depth > _FLAT:
        parts.append(
            f"the deepest, at line {f.deepest_line} (`{source.snippet(f.deepest_line)}`), is {f.depth} levels in"
        )
    if f.returns > _DEEP:
        parts.append(f"it leaves at {f.returns} places")
    return "; ".join(parts) + "."


def _suggestion(source: Source, f: Measured) -> str:
    if f.inline_branches >= _DISPATCH_SHARE * f.ccn:
        return (
            f"{f.inline_branches} of the paths are inside of expressions (`x if y else z`, `and`, `or`, "
            "comprehensions): give the pattern that repeats a helper of its own, or a loop over a table."
        )
    moved = [block for block in f.blocks if block.lines >= _BLOCK_WORTH_MOVING][:2]
    return _move(source, moved) if moved else _restructure(f)


def _move(source: Source, moved: list[Block]) -> str:
    named = " and ".join(_described(source, block) for block in moved)
    if len(moved) > 1:
        return f"Move {named} into functions of their own, named for what they do, and test them there."
    return f"Move {named} into a function of its own, named for what it does, and test it there."


def _restructure(f: Measured) -> str:
    if f.is_dispatcher:
        return "Replace the chain by a table from each case to a small function, so that a case can be tested alone."
    if f.depth >= _DEEP:
        return f"Turn the outer conditions into early exits so that line {f.deepest_line} moves out by two levels."
    if f.ccn >= _NOTABLE_CCN and f.depth <= 1:
        return "The paths lie side by side: move those that belong together into helpers, or drive them from a table."
    if f.ccn >= _NOTABLE_CCN:
        return "Name the compound conditions as small predicates, and split the function where its subject changes."
    return "Split it into named steps, one for each paragraph, and call them in order."


def _described(source: Source, block: Block) -> str:
    branches = f", {plural(block.branches, 'branch').replace('branchs', 'branches')}" if block.branches else ""
    return f"the block `{source.snippet(block.start)}` (lines {block.start}-{block.end}{branches})"


def _parameters(source: Source, f: Measured) -> Finding | None:
    count = len(f.positional)
    if count < _MANY_PARAMETERS or f.signature_is_given:
        return None
    listed = ", ".join(f"`{name}`" for name in f.positional)
    return Finding(
        title=f"`{f.name}` takes {count} positional parameters",
        category="design",
        severity="low",
        effort="hours",
        line_start=f.start,
        line_end=f.end,
        evidence=source.quote(f.start, max(f.start, f.head_end)),
        why=f"A call can pass {listed} by position; two of them swapped would go unnoticed.",
        suggestion="Make the later ones keyword-only, or pass those that travel together as one object.",
    )
