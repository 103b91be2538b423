"""Renders the templates of a prompt version: its system prompts, and a document as a request shows it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from traceback import walk_tb
from typing import TYPE_CHECKING, Final, Never, TypeVar
from xml.sax.saxutils import quoteattr

from jinja2 import StrictUndefined, Template, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from backcast.domain.errors import InputError
from backcast.domain.lines import number_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from backcast.domain.workflow import PromptVersion, WorkedExample

_Made = TypeVar("_Made")
SIMPLIFIED: Final = "simplified"
DOCUMENT: Final = "document"
CHECK: Final = "check"
CHECKED: Final = "check.finding"
_FENCE_DIGITS: Final = 12
# As Jinja calls a template that was made from a text.
_UNNAMED: Final = "<template>"


class _Environment(ImmutableSandboxedEnvironment):
    """Whoever writes a template, a model perhaps, gets only at what it is given, and makes nothing huge of it."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: object, operator: str, left: object, right: object) -> Never:  # noqa: ARG002  Jinja's
        raise SecurityError(f"{operator} is not for templates of prompts")


# Autoescape is for HTML; here the text must arrive as it stands.
_ENVIRONMENT: Final = _Environment(
    undefined=StrictUndefined,
    autoescape=False,
    keep_trailing_newline=False,
)


@dataclass(frozen=True, slots=True)
class ShownExample:
    """A worked example as a system template is given it: its document as a request shows one, and the answer."""

    language: str
    shown: str
    answer: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt version as its requests show it.

    Attributes:
        system: the system prompt.
        simplified: the simplified one; empty when the version has none.
        examples: the worked examples by language.
    """

    system: str
    simplified: str
    examples: dict[str, ShownExample]
    _document: Template

    def shown(self, path: str, language: str, content_hash: str, numbered_lines: str, diff: str = "") -> str:
        """Return a document as a request shows it, and the diff that led to it where there is one.

        The fence around it carries digits of its own hash, which has to be that of all that is shown: a document cannot
        contain them, so it cannot close its fence.
        """
        return _shown(self._document, path, language, content_hash, numbered_lines, diff)


@lru_cache(maxsize=64)
def render(prompt: PromptVersion) -> Rendered:
    """Return a prompt version as its requests show it.

    Raises:
        InputError: a template cannot be rendered; the message names its file and the line.
    """
    document = _of_file(DOCUMENT, lambda: _ENVIRONMENT.from_string(prompt.document_template))
    examples = {example.language: _example(document, example) for example in prompt.examples}
    given = {"schema": prompt.answer_schema, "examples": list(examples.values())}
    system = _of_file(prompt.version, lambda: _ENVIRONMENT.from_string(prompt.system_template).render(given))
    simplified = _of_file(SIMPLIFIED, lambda: _ENVIRONMENT.from_string(prompt.simplified_template).render(given))
    # With any document, so that what is wrong with its template is said now rather than in the middle of a run.
    _of_file(DOCUMENT, lambda: _shown(document, "a.py", "python", "0" * _FENCE_DIGITS, number_lines("VALUE = 1\n")))
    return Rendered(system, simplified, examples, document)


@dataclass(frozen=True, slots=True)
class RenderedCheck:
    """The prompt by which findings are checked; `system` is its system prompt."""

    system: str
    _finding: Template

    def shown(self, path: str, finding: str) -> str:
        """Return a finding, which is JSON text, as a request shows it: between marks that it cannot contain."""
        return _shown_finding(self._finding, path, finding)


@lru_cache(maxsize=16)
def render_check(prompt: PromptVersion) -> RenderedCheck:
    """Return the prompt by which findings are checked, as requests show it.

    Raises:
        InputError: a template cannot be rendered; the message names its file and the line.
    """
    finding = _of_file(CHECKED, lambda: _ENVIRONMENT.from_string(prompt.document_template))
    given = {"schema": prompt.answer_schema}
    system = _of_file(CHECK, lambda: _ENVIRONMENT.from_string(prompt.system_template).render(given))
    _of_file(CHECKED, lambda: _shown_finding(finding, "a.py", "{}"))
    return RenderedCheck(system, finding)


def _shown_finding(template: Template, path: str, finding: str) -> str:
    fence = hashlib.sha256(f"{path}\0{finding}".encode()).hexdigest()[:_FENCE_DIGITS]
    return template.render(fence=fence, path=quoteattr(path), finding=finding)


def _example(document: Template, example: WorkedExample) -> ShownExample:
    content_hash = hashlib.sha256(example.document.encode()).hexdigest()
    path, lines = f"example/{example.language}", number_lines(example.document)
    shown = _of_file(DOCUMENT, lambda: _shown(document, path, example.language, content_hash, lines))
    return ShownExample(example.language, shown, example.answer)


def _shown(  # noqa: PLR0913, PLR0917  what a template is given
    document: Template, path: str, language: str, content_hash: str, numbered_lines: str, diff: str = ""
) -> str:
    return document.render(
        fence=content_hash[:_FENCE_DIGITS],
        path=quoteattr(path),
        language=quoteattr(language),
        numbered_lines=numbered_lines,
        diff=diff,
    )


def _of_file(name: str, make: Callable[[], _Made]) -> _Made:
    try:
        return make()
    except Exception as error:
        # A template raises whatever the expressions in it do.
        line = _line(error)
        where = f"prompts/{name}.md.j2" + (f", line {line}" if line else "")
        raise InputError(f"{where}: {error}") from error


def _line(error: Exception) -> int | None:
    if isinstance(error, TemplateSyntaxError):
        return error.lineno
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == _UNNAMED]
    return lines[-1] if lines else None
