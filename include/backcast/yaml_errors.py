"""Holds a YAML text against a JSON schema, and says on which line something is wrong, or stands, and what to write."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def schema_errors(text: str, schema: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return what is wrong, with the lines counted from 1, in the order of the lines.

    What lacks something is reported where it begins; a key that should not be there, or stands twice, where it stands.
    What to write instead is what the schema's descriptions say.
    """
    root = yaml.compose(text, yaml.SafeLoader)
    errors = jsonschema.Draft202012Validator(schema).iter_errors(yaml.safe_load(text))
    return sorted([*_repeated(root, ""), *(found for error in errors for found in _found(root, error))])


def key_lines(text: str) -> dict[str, int]:
    """Return the line, counted from 1, on which each key of nested mappings stands, by its path: `source.ref`."""
    return dict(_key_lines(yaml.compose(text, yaml.SafeLoader), ""))


def line_at(text: str, path: Iterable[str | int]) -> int:
    """Return the line, counted from 1, on which what these keys and indexes lead to begins, or the last of it there."""
    node = _at(yaml.compose(text, yaml.SafeLoader), path)
    return node.start_mark.line + 1 if node is not None else 1


def closest(word: str, known: Iterable[str]) -> str:
    """Return, as a sentence, which of the known words may be meant, or which there are."""
    words = sorted(known)
    match = get_close_matches(word, words, n=1)
    return f"Did you mean {match[0]!r}?" if match else f"Write one of {', '.join(words) or 'none'}."


def not_yaml(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Return the line, counted from 1, on which a text stops being YAML, and why, with what to write."""
    if isinstance(error, yaml.reader.ReaderError):
        # It counts characters.
        return text.count("\n", 0, error.position) + 1, f"it holds the character #x{error.character:04x}. Take it out."
    if not isinstance(error, yaml.MarkedYAMLError) or (mark := error.problem_mark or error.context_mark) is None:
        return 1, f"{error}."
    problem = error.problem or error.context or ""
    hint = next((hint for said, hint in _HINTS.items() if said in f"{error.context} {problem}"), "")
    began = error.context_mark
    where = f" (it began {error.context} in line {began.line + 1})" if began and error.context and error.problem else ""
    return mark.line + 1, " ".join(filter(None, (f"{problem}{where}.", hint)))


# What is said of YAML, and what to write.
_HINTS: Final = {
    "'\\t'": "Indent with blanks, not with tabs.",
    "mapping values are not allowed": 'Put a text that holds ": " into quotes, and indent keys of one block alike.',
    "expected a single document": "Leave out what follows the line ---.",
    "could not determine a constructor": "Leave out the tag that begins with !.",
    "found unhashable key": "Write a name in place of it.",
    "undefined alias": "Put a text that begins with * into quotes.",
    "expected ',' or": "Close the bracket.",
    "expected <block end>": "Indent the keys of one block alike, and close quotes.",
    "unexpected end of stream": "Close the quotes.",
    "cannot start any token": "Put the text into quotes.",
    "could not find expected ':'": "Write a colon and a blank after the key.",
}


def _key_lines(node: yaml.Node | None, before: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{before}{key.value}", key.start_mark.line + 1
            yield from _key_lines(value, f"{before}{key.value}.")


def _repeated(node: yaml.Node | None, before: str) -> Iterator[tuple[int, str]]:
    """Yield the keys that stand twice, of which YAML would take the last without a word."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if key.value in seen:
            yield key.start_mark.line + 1, f"{before}{key.value}: it stands twice. Keep one of both."
        seen.add(key.value)
        yield from _repeated(value, f"{before}{key.value}.")


def _found(root: yaml.Node | None, error: jsonschema.ValidationError) -> Iterator[tuple[int, str]]:
    node = _at(root, error.absolute_path)
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    if error.validator == "additionalProperties" and isinstance(node, yaml.MappingNode):
        for name, line in {key.value: key.start_mark.line + 1 for key, _ in node.value}.items():
            if name not in known:
                yield line, _at_path(error, f"{name!r} is no key here. {closest(name, known)}")
        return
    yield (node.start_mark.line + 1 if node is not None else 1), _at_path(error, _message(error, known))


def _at_path(error: jsonschema.ValidationError, message: str) -> str:
    path = error.json_path.removeprefix("$").removeprefix(".")
    return f"{path}: {message}" if path else message


def _message(error: jsonschema.ValidationError, known: Mapping[str, Any]) -> str:
    about: Mapping[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    message = error.message
    if error.validator == "required":
        lacking = next((name for name in known if message.startswith(f"{name!r} ")), None)
        about = known[lacking] if lacking else {}
    elif error.validator == "pattern":
        message = f"{error.instance!r} is not of the form that is read here"
    return " ".join(filter(None, (f"{message}.", about.get("description"), _to_write(error))))


def _to_write(error: jsonschema.ValidationError) -> str:
    """Return which values are meant, or what a value of the right type looks like."""
    wanted: Any = error.validator_value
    if error.validator == "enum":
        return closest(str(error.instance), map(str, wanted))
    if error.validator != "type":
        return ""
    if wanted == "object":
        about: Any = error.schema
        return f"Write its keys below it, indented: {', '.join(sorted(about.get('properties', {})))}."
    return _WRITTEN.get(wanted, "")


_WRITTEN: Final = {
    "string": "Write a text, in quotes if it would be something else without them.",
    "integer": "Write a whole number.",
    "number": "Write a number.",
    "boolean": "Write true or false.",
    "array": "Write a list: [one, another].",
}


def _at(node: yaml.Node | None, path: Iterable[str | int]) -> yaml.Node | None:
    for step in path:
        node = _within(node, step)
    return node


def _within(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), node)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        inner: yaml.Node = node.value[step]
        return inner
    return node
