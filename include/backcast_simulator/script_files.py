"""Rules from a file, in YAML or JSON; a mistake is reported with its line and column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from backcast_simulator.rules import RuleError, read_rules

if TYPE_CHECKING:
    from pathlib import Path

    from backcast_simulator.rules import Rule


class ScriptError(ValueError):
    """A script that cannot be used; the message starts with the file and, if known, line and column."""


def read_script(path: Path) -> list[Rule]:
    """The rules in a file: a list of them, or an object with the list as its `rules`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"{path}: cannot be read ({error})") from None
    # Tabs may indent JSON, but not YAML; in strings JSON has them escaped.
    if path.suffix == ".json":
        text = text.replace("\t", " ")
    return _rules(path, *_parsed(path, text))


def _parsed(path: Path, text: str) -> tuple[object, yaml.Node | None]:
    try:
        return yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        problem = error.problem or "it is neither YAML nor JSON"
        raise ScriptError(f"{_place(path, error.problem_mark)}: {problem}") from None
    except yaml.YAMLError as error:
        raise ScriptError(f"{path}: {error}") from None
    except ValueError as error:
        raise ScriptError(f"{path}: a value cannot be read: {error}") from None


def _rules(path: Path, parsed: object, node: yaml.Node | None) -> list[Rule]:
    if isinstance(parsed, dict) and list(parsed) == ["rules"]:
        parsed, node = parsed["rules"], _child(node, "rules")
    try:
        return read_rules(parsed)
    except RuleError as error:
        raise ScriptError(f"{_place(path, _mark(node, error.path))}: {error}") from None


def _mark(node: yaml.Node | None, way: tuple[str | int, ...]) -> yaml.Mark | None:
    """Where a value stands, or the nearest one around it that is there."""
    for step in way:
        child = _child(node, step)
        if child is None:
            break
        node = child
    return None if node is None else node.start_mark


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        items: list[Any] = node.value
        return items[step] if step < len(items) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(step)), None)
    return None


def _place(path: Path, mark: yaml.Mark | None) -> str:
    return str(path) if mark is None else f"{path}:{mark.line + 1}:{mark.column + 1}"
