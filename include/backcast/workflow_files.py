"""Reads `workflow.yaml`, and says for each mistake in it where it is and what to write instead."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from importlib import resources
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import yaml

from backcast.domain.audit import CheckTerms
from backcast.domain.documents import is_url
from backcast.domain.durations import parse_duration
from backcast.domain.errors import InputError
from backcast.domain.object_stores import check_url
from backcast.domain.routing import Declared, contradictions
from backcast.domain.schedule import parse_due
from backcast.domain.sla import Terms
from backcast.yaml_errors import closest, key_lines, not_yaml, schema_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Values = Mapping[str, Any]

SCHEMA: Final = "workflow.schema.json"
# Kinds of sources that are named by a path, and what it leads to.
FILE_SOURCES: Final = {"folder": "folder", "object_store": "URL of an object store"}


@cache
def workflow_schema() -> dict[str, Any]:
    """Return the JSON schema of workflow files."""
    schema: dict[str, Any] = json.loads((resources.files("backcast") / SCHEMA).read_text(encoding="utf-8"))
    return schema


def read_workflow_file(path: Path, most_tokens: Mapping[str, int]) -> tuple[dict[str, Any], str]:
    """Return what a workflow declares, and the text that declares it.

    Args:
        path: `NAME/workflow.yaml`.
        most_tokens: how many tokens an answer of each known model may have.

    Raises:
        InputError: there is no such file, or it is wrong; the message names each mistake with its line.
    """
    name = path.parent.name
    try:
        text = path.read_text(encoding="utf-8")
        declared = yaml.safe_load(text)
    except FileNotFoundError:
        raise InputError(f"There is no workflow {name!r}: {path} does not exist.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: it is not UTF-8: {error.reason}. Save the file as UTF-8.") from error
    except yaml.YAMLError as error:
        line, why = not_yaml(error, text)
        raise InputError(f"{path}:{line}: it is not YAML: {why}") from error
    wrong = schema_errors(text, workflow_schema())
    if not wrong:
        lines = key_lines(text)
        found = _mistakes(name, declared, most_tokens)
        wrong = sorted((lines.get(key, 1), f"{key}: {message}") for key, message in found)
    if wrong:
        listed = "\n".join(f"{path}:{line}: {message}" for line, message in wrong)
        raise InputError(f"{name} is no workflow that can be used:\n{listed}")
    return dict(declared), text


def deprecations(path: Path, declared: Values, text: str) -> Iterator[str]:
    """Yield what is still accepted in a file but read no more, with its line."""
    for key, about in workflow_schema()["properties"].items():
        if about.get("deprecated") and key in declared:
            yield f"{path}:{key_lines(text)[key]}: {key}: {about['description']}"


def facts_of(declared: Values) -> Declared:
    """Return what a file without mistakes says about the API that the workflow belongs on."""
    return Declared(
        sla=parse_duration(declared["sla"]),
        blocking=declared.get("blocking", False),
        client_tools=tuple(declared.get("client_tools", ())),
        server_tools=tuple(declared.get("server_tools", ())),
        opportunistic=declared.get("opportunistic", False),
        due=parse_due(declared["due"]) if "due" in declared else None,
        every=parse_duration(declared["every"]) if "every" in declared else None,
        slots=declared.get("slots"),
        check=check_terms_in(declared),
    )


def check_terms_in(declared: Values) -> CheckTerms | None:
    """Return how findings are checked, as a file without mistakes says; None when they are not."""
    given = declared.get("check")
    if given is None:
        return None
    usual = CheckTerms()
    return CheckTerms(
        top=given.get("top", usual.top),
        max_turns=given.get("max_turns", usual.max_turns),
        max_usd=Decimal(str(given.get("max_usd", usual.max_usd))),
        client_tools=tuple(given.get("client_tools", usual.client_tools)),
    )


def _mistakes(folder: str, declared: Values, most_tokens: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Yield what a schema cannot say, each with the key where it stands."""
    if declared["name"] != folder:
        yield "name", f"its folder is called {folder!r}. Write that, or rename the folder."
    unreadable = [
        (key, why)
        for key, read in _READ.items()
        if key in declared and (why := _why_not(read, declared[key])) is not None
    ]
    yield from unreadable
    if not unreadable:
        yield from contradictions(facts_of(declared))
    yield from _mistakes_about_the_model(declared["model"], declared["max_tokens"], most_tokens)
    yield from _mistakes_about_the_source(declared["source"], blocking=declared.get("blocking", False))
    yield from _mistakes_about_patterns(declared)
    yield from _no_numbers(declared, "")
    if "check" in declared and declared["source"]["kind"] != "git":
        yield "check", "findings are checked at a commit, and the kind of the source is not git. Leave it out."
    budget = declared.get("budget", {})
    if "retries" in budget and "run" in budget and budget["retries"] > budget["run"]:
        yield "budget.retries", f"it is a part of budget.run, {budget['run']}. Write at most that."


def _mistakes_about_patterns(declared: Values) -> Iterator[tuple[str, str]]:
    from pathspec import GitIgnoreSpec  # noqa: PLC0415  few files hold patterns
    from pathspec.patterns.gitignore import GitIgnorePatternError  # noqa: PLC0415  as above

    for block, name in (("source", "include"), ("source", "exclude"), ("rescue", "first")):
        for pattern in declared.get(block, {}).get(name, ()):
            try:
                GitIgnoreSpec.from_lines([pattern])
            except GitIgnorePatternError:
                yield (
                    f"{block}.{name}",
                    f"{pattern!r} is no pattern: write one as in a .gitignore, such as *.py.",
                )


def _no_numbers(values: Values, before: str) -> Iterator[tuple[str, str]]:
    """Yield what YAML takes for a number and nobody can count with, of which no schema says anything."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _no_numbers(value, f"{before}{key}.")
        elif isinstance(value, float) and not isfinite(value):
            yield f"{before}{key}", f"{value} is no number that can be counted with. Write one such as 12.50."


def _mistakes_about_the_source(source: Values, *, blocking: bool) -> Iterator[tuple[str, str]]:
    kind, path = source["kind"], source.get("path")
    if kind == "diff" and not blocking:
        yield "source.kind", "a diff is reviewed while somebody waits. Write `blocking: true`, or `kind: git`."
    if kind not in FILE_SOURCES:
        for key in ("path", "max_pdf_bytes", "max_pdf_pages"):
            if key in source:
                yield f"source.{key}", f"it is of {' and '.join(FILE_SOURCES)}. Leave it out, or write another kind."
        return
    for key in ("repository", "ref", "untested_only"):
        if key in source:
            yield (
                f"source.{key}",
                f"it is of git, and the kind is {kind}. Leave it out: source.path says what is read.",
            )
    if path is None:
        yield "source.kind", f"nobody says which {FILE_SOURCES[kind]} it is. Name it in source.path."
    elif is_url(path) != (kind == "object_store"):
        other = next(one for one in FILE_SOURCES if one != kind)
        yield "source.path", f"{path!r} is no {FILE_SOURCES[kind]}. Write `kind: {other}`, or another path."
    elif is_url(path) and (why := _why_not(check_url, path)) is not None:
        yield "source.path", why


def _mistakes_about_the_model(model: str, max_tokens: int, most_tokens: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    if model not in most_tokens:
        yield "model", f"{model!r} is not known here. {closest(model, most_tokens)}"
    elif max_tokens > most_tokens[model]:
        yield "max_tokens", f"an answer of {model} has at most {most_tokens[model]} tokens. Write at most that."


def _why_not(read: Callable[[str], object], text: str) -> str | None:
    try:
        read(text)
    except (ValueError, InputError) as error:
        return str(error)
    return None


_READ: Final[Mapping[str, Callable[[str], object]]] = {
    "sla": lambda text: Terms(parse_duration(text)),
    "every": parse_duration,
    "due": parse_due,
}
