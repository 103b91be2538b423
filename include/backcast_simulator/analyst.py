"""The offline analyst: static analysis of one source file, in the shape that a request asks for."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

from backcast_simulator import (
    duplicates,
    licence_checks,
    measured,
    other_functions,
    python_checks,
    python_functions,
    text_checks,
)
from backcast_simulator.answer_shape import AnswerShape
from backcast_simulator.findings import SEVERITIES, Finding, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_FINDINGS = 25
_MAX_CHARACTERS = 1_000_000
_MINIFIED_LINE = 2_000
_EFFORTS = ("minutes", "hours", "days")

T = TypeVar("T")
_ANYTHING = AnswerShape()


def analyse(path: str, language: str, text: str, shape: AnswerShape = _ANYTHING) -> list[dict[str, Any]]:
    """The findings about a document, best first, at most 25; never raises and always finds the same.

    `text` is the document without line numbers. Nothing is said about vendored, generated and minified files, and
    nothing that the shape has no place for.
    """
    source = Source.of(path, language, text)
    if source.is_foreign or len(text) > _MAX_CHARACTERS or max(map(len, source.lines)) > _MINIFIED_LINE:
        return []
    findings = [f for f in _all_findings(source) if f.is_quoted_from(source)]
    if source.is_test:
        findings = [f.lowered("In a test file it costs less.") for f in findings]
    findings.sort(key=_rank)
    fitted = _safely(lambda: (shape.fitted(finding.view()) for finding in findings))
    return [finding for finding in fitted if finding is not None][:MOST_FINDINGS]


def _rank(finding: Finding) -> tuple[int, int, int, str]:
    severity = SEVERITIES.index(finding.severity)
    return severity, _EFFORTS.index(finding.effort), finding.line_start, finding.title


def _all_findings(source: Source) -> list[Finding]:
    tree = _python_tree(source)
    found = _safely(lambda: text_checks.check(source))
    found += _safely(lambda: licence_checks.check(source))
    if tree is None:
        found += _safely(lambda: measured.findings_of(source, other_functions.measure(source)))
        if other_functions.knows(source):
            found += _safely(lambda: duplicates.passages(source))
        return found
    module = python_functions.Module(tree)
    functions = _safely(lambda: python_functions.measure(source, module))
    found += _safely(lambda: measured.findings_of(source, functions))
    found += _safely(lambda: python_checks.check(source, module))
    found += _safely(lambda: duplicates.passages(source, python_functions.layout(module)))
    return found


def _safely(check: Callable[[], Iterable[T]]) -> list[T]:
    # One check that meets an input nobody thought of must not silence the others.
    try:
        return list(check())
    except Exception:  # noqa: BLE001  see above
        return []


def _python_tree(source: Source) -> ast.Module | None:
    if source.suffix not in ("py", "pyi", "pyw") and source.language != "python":
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # form feeds and the like are no line ends to `ast` either, but "\r" is
            return ast.parse("\n".join(line.replace("\r", " ") for line in source.lines))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
