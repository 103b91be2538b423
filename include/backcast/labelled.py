"""Reads the labelled documents of a workflow: `sample/CASE/document.txt` and `sample/CASE/expected.yaml`."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import yaml

from backcast.domain.errors import InputError
from backcast.domain.findings import categories_of
from backcast.domain.golden import Expectation, LabelledDocument
from backcast.domain.lines import split_lines
from backcast.domain.records import asks_for_records
from backcast.settings import workflows_folder
from backcast.sources.filters import decode
from backcast.sources.languages import language_by_name, language_by_shebang
from backcast.yaml_errors import line_at, schema_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_KINDS: Final = ("must", "may", "must_not")
# Where it is in the file, by keys and indexes, and what is wrong there.
_Mistake: TypeAlias = tuple[tuple[str | int, ...], str]


def load_labelled(workflow: str) -> tuple[LabelledDocument, ...]:
    """Return the labelled documents of a workflow in the order of their names; none when it ships none.

    Raises:
        InputError: documents or labels are wrong; the message says of each mistake file, line and what to write.
    """
    folder = workflows_folder() / workflow
    cases = sorted((folder / "sample").glob("*/"))
    if not cases:
        return ()
    _require_findings(folder / "schema.json")
    categories = _categories(folder / "schema.json")
    documents: list[LabelledDocument] = []
    wrong: list[str] = []
    for case in cases:
        try:
            documents.append(_read_case(case, categories, documents))
        except InputError as error:
            wrong.append(str(error))
    if wrong:
        raise InputError("\n".join([f"The labelled documents of {workflow} cannot be used:", *wrong]))
    return tuple(documents)


def _require_findings(path: Path) -> None:
    try:
        records = asks_for_records(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if records:
        raise InputError(
            f"{path.parent / 'sample'} cannot be used: labels say which findings are right, and answers by {path} are "
            "records. Take the folder away; a sample of the run's own documents proves the prompt."
        )


def _categories(path: Path) -> tuple[str, ...]:
    try:
        return categories_of(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _read_case(case: Path, categories: tuple[str, ...], others: Iterable[LabelledDocument]) -> LabelledDocument:
    document = _read_text(case / "document.txt", "put the document there")
    path = case / "expected.yaml"
    text = _read_text(path, "write there what is to be found in document.txt; `must: []` if nothing is")
    try:
        wrong = schema_errors(text, _schema())
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    if not wrong:
        labels = yaml.safe_load(text)
        mistakes = [*_wrong_path(labels["path"], document, others), *_wrong_labels(labels, document, categories)]
        wrong = [(line_at(text, place), message) for place, message in mistakes]
    if wrong:
        raise InputError("\n".join(f"{path}:{line}: {message}" for line, message in wrong))
    must, may, must_not = (tuple(map(_expectation, labels.get(kind, ()))) for kind in _KINDS)
    return LabelledDocument(
        name=case.name,
        path=labels["path"],
        language=_language(labels["path"], document) or "",
        text=document,
        must=must,
        may=may,
        must_not=must_not,
        about=labels.get("about", ""),
    )


def _read_text(path: Path, missing: str) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {missing}.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    # As files that are collected: with the line ends that they have.
    text, reason = decode(content)
    if text is None or not text.strip():
        raise InputError(f"{path} is {reason or 'empty'}: {missing}, as UTF-8 text.")
    return text


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((resources.files("backcast") / "golden.schema.json").read_text("utf-8"))
    return schema


def _language(path: str, document: str) -> str | None:
    return language_by_name(path) or language_by_shebang(document.encode())


def _wrong_path(path: str, document: str, others: Iterable[LabelledDocument]) -> Iterator[_Mistake]:
    if _language(path, document) is None:
        yield ("path",), f"path: files called {path!r} are not collected: give it the name of a source file."
    for other in others:
        if other.path == path:
            yield ("path",), f"path: {path!r} is {other.name}, too: give each document its own."


def _wrong_labels(labels: dict[str, Any], document: str, categories: tuple[str, ...]) -> Iterator[_Mistake]:
    last_line = len(split_lines(document))
    for kind in _KINDS:
        for number, label in enumerate(labels.get(kind, ())):
            for within, message in _wrong_label(label, last_line, categories):
                yield (kind, number, *within), f"{kind}[{number}]: {message}"


def _wrong_label(label: dict[str, Any], last_line: int, categories: tuple[str, ...]) -> Iterator[_Mistake]:
    if not label.keys() & {"lines", "categories"}:
        yield (), "it would match every finding: write `lines: [FIRST, LAST]`, `categories: [...]`, or both."
    first, last = label.get("lines", (1, last_line))
    if not first <= last <= last_line:
        where = f"[FIRST, LAST] within 1 to {last_line}"
        yield ("lines",), f"lines [{first}, {last}] are not in document.txt: write {where}."
    for index, category in enumerate(label.get("categories", ())):
        if category not in categories:
            known = ", ".join(categories) or "none: it lists no categories of findings"
            yield ("categories", index), f"{category!r} is no category of schema.json. Choose from {known}."


def _expectation(label: dict[str, Any]) -> Expectation:
    lines = label.get("lines")
    return Expectation(
        lines=(int(lines[0]), int(lines[1])) if lines else None,
        categories=tuple(label.get("categories", ())),
        about=label.get("about", ""),
    )
