"""Holds a YAML text against a JSON schema, and says on which line something is wrong, or stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def schema_errors(text: str, schema: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return what is wrong, with the lines counted from 1, in the order of the lines.

    What lacks something is reported where it begins; a key that should not be there, where it stands.
    """
    root = yaml.compose(text, yaml.SafeLoader)
    errors = jsonschema.Draft202012Validator(schema).iter_errors(yaml.safe_load(text))
    return sorted((_line(root, error), _message(error)) for error in errors)


def key_lines(text: str) -> dict[str, int]:
    """Return the line, counted from 1, on which each key of nested mappings stands, by its path: `source.ref`."""
    return dict(_key_lines(yaml.compose(text, yaml.SafeLoader), ""))


def line_at(text: str, path: Iterable[str | int]) -> int:
    """Return the line, counted from 1, on which what these keys and indexes lead to begins, or the last of it there."""
    node = _at(yaml.compose(text, yaml.SafeLoader), path)
    return node.start_mark.line + 1 if node is not None else 1


def _key_lines(node: yaml.Node | None, before: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{before}{key.value}", key.start_mark.line + 1
            yield from _key_lines(value, f"{before}{key.value}.")


def _message(error: jsonschema.ValidationError) -> str:
    path = error.json_path.removeprefix("$").removeprefix(".")
    return f"{path}: {error.message}" if path else error.message


def _line(root: yaml.Node | None, error: jsonschema.ValidationError) -> int:
    node = _at(root, error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(node, yaml.MappingNode):
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        node = next((key for key, _ in node.value if key.value not in known), node)
    return node.start_mark.line + 1 if node is not None else 1


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
