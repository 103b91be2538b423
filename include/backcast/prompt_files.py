"""Reads the versions of a workflow's prompt: prompt, answer schema and worked examples together, as files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft202012Validator, SchemaError

from backcast.domain.errors import InputError
from backcast.domain.records import problem_of_records
from backcast.domain.workflow import PromptVersion, WorkedExample
from backcast.prompt_templates import CHECK, CHECKED, DOCUMENT, SIMPLIFIED, render, render_check

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIX: Final = ".md.j2"
_NO_VERSIONS: Final = frozenset({DOCUMENT, SIMPLIFIED, CHECK, CHECKED})
_CHECK_SCHEMA: Final = "check.schema.json"
_DIGITS: Final = re.compile(r"(\d+)")


def versions_in(folder: Path) -> list[str]:
    """Return the versions that have a prompt in a workflow's folder, in natural order: v2 before v10."""
    names = (path.name.removesuffix(_SUFFIX) for path in (folder / "prompts").glob(f"*{_SUFFIX}"))
    return sorted((name for name in names if name not in _NO_VERSIONS), key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    # Digits and what stands between them alternate, so that like is compared with like.
    return [(int(part), "") if part.isdecimal() else (0, part) for part in _DIGITS.split(name)]


@dataclass(frozen=True, slots=True)
class PromptFiles:
    """Where the parts of a version stand: its system prompt, what is around a document, and the answer schema."""

    system: Path
    document: Path
    schema: Path


def files_of(folder: Path, version: str) -> PromptFiles:
    """Return where a version of the prompt of the workflow in this folder stands, whether or not it is there."""
    prompts = folder / "prompts"
    return PromptFiles(
        system=prompts / f"{version}{_SUFFIX}",
        document=prompts / f"{DOCUMENT}{_SUFFIX}",
        schema=_first(prompts / f"{version}.schema.json", folder / "schema.json"),
    )


def read_prompt(folder: Path, version: str) -> PromptVersion:
    """Return a version of the prompt of the workflow in this folder.

    Its schema is `prompts/VERSION.schema.json`, or else `schema.json`; its worked examples are those of
    `prompts/VERSION.examples`, or else of `examples`. Every version shares `document.md.j2` and `simplified.md.j2`.

    Raises:
        InputError: there is no such version, or one of its files cannot be used; the message names it.
    """
    prompts = folder / "prompts"
    known = versions_in(folder)
    if version not in known:
        there = f"Its versions are {', '.join(known)}." if known else "It has no versions."
        raise InputError(f"{prompts} has no {version}{_SUFFIX}. {there}")
    files = files_of(folder, version)
    schema = _schema(files.schema)
    prompt = PromptVersion(
        version=version,
        system_template=_read(files.system),
        document_template=_read(files.document),
        answer_schema=_compact(schema),
        simplified_template=_read(prompts / f"{SIMPLIFIED}{_SUFFIX}", optional=True),
        examples=_examples(_first(prompts / f"{version}.examples", folder / "examples"), schema),
    )
    render(prompt)
    return prompt


def check_files(folder: Path) -> tuple[Path, Path]:
    """Return where the prompt stands by which findings are checked: the system prompt, and a finding as it is shown."""
    prompts = folder / "prompts"
    return prompts / f"{CHECK}{_SUFFIX}", prompts / f"{CHECKED}{_SUFFIX}"


def read_check_prompt(folder: Path) -> PromptVersion:
    """Return the prompt by which findings of the workflow in this folder are checked, with the schema of the answers.

    The schema is the same for all workflows, since a program reads what is answered.

    Raises:
        InputError: a file is not there, or cannot be used; the message names it.
    """
    system, finding = check_files(folder)
    schema = (resources.files("backcast") / _CHECK_SCHEMA).read_text(encoding="utf-8")
    prompt = PromptVersion(CHECK, _read(system), _read(finding), _compact(json.loads(schema)))
    render_check(prompt)
    return prompt


def _first(own: Path, shared: Path) -> Path:
    return own if own.exists() else shared


def _schema(path: Path) -> Any:  # noqa: ANN401  any JSON
    schema = _read_json(path)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise InputError(f"{path} is no JSON schema: {error.json_path}: {error.message}") from error
    if problem := problem_of_records(schema):
        raise InputError(f"{path}: {problem}")
    return schema


def _examples(folder: Path, schema: Any) -> tuple[WorkedExample, ...]:  # noqa: ANN401  any JSON
    """Read `LANGUAGE/document.txt` and `LANGUAGE/answer.json` of each language that has them."""
    validator = Draft202012Validator(schema)
    return tuple(
        WorkedExample(path.name, _read(path / "document.txt"), _compact(_answer(path / "answer.json", validator)))
        for path in sorted(folder.glob("*/"))
    )


def _answer(path: Path, validator: Draft202012Validator) -> Any:  # noqa: ANN401  any JSON
    answer = _read_json(path)
    wrong = next(validator.iter_errors(answer), None)
    if wrong is not None:
        raise InputError(f"{path} does not fit the answer schema: {wrong.json_path}: {wrong.message}")
    return answer


def _compact(value: Any) -> str:  # noqa: ANN401  any JSON
    # Without blanks, since it travels in every request.
    return json.dumps(value, separators=(",", ":"))


def _read_json(path: Path) -> Any:  # noqa: ANN401  any JSON
    text = _read(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON: {error}") from error


def _read(path: Path, *, optional: bool = False) -> str:
    if optional and not path.exists():
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
