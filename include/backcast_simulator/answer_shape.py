"""What a request lets an answer say: the fields of a finding, or of a record, by the schema that it carries."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from jsonschema import Draft202012Validator

from backcast_simulator.prompts import text_of
from backcast_simulator.structured import Schema, requested_schema

# What a workflow with a coarser set of categories calls the same thing.
_OTHER_NAMES = {"error_handling": "correctness"}
_MAYBE_JSON = re.compile(r"^\{", re.MULTILINE)
_REMEMBERED_PROMPTS = 64


@dataclass(frozen=True)
class AnswerShape:
    """The JSON schema of one finding, as text; None lets everything pass, and `{}` has no place for findings.

    `record` is the schema of one record, where an answer is a list of these in place of findings; `tests` says that it
    is a list of files of tests.
    """

    schema: str | None = None
    record: str | None = None
    tests: bool = False

    @cached_property
    def _parsed(self) -> Schema:
        parsed: Schema = json.loads(self.schema or "{}")
        return parsed

    def takes(self, record: dict[str, Any]) -> bool:
        """Whether a record is as the schema wants it."""
        return Draft202012Validator(json.loads(self.record or "false")).is_valid(record)

    def fitted(self, finding: dict[str, Any]) -> dict[str, Any] | None:
        """The finding with the fields and the category that the schema knows; None when it has no place there."""
        if self.schema is None:
            return finding
        known = self._parsed.get("properties", {})
        name = finding["category"]
        named = {**finding, "category": name if name in _choices(known) else _OTHER_NAMES.get(name, name)}
        fitted = {field: named[field] for field in known if field in named}
        return fitted if known and Draft202012Validator(self._parsed).is_valid(fitted) else None


def _choices(properties: dict[str, Any]) -> list[Any]:
    category = properties.get("category")
    choices = category.get("enum") if isinstance(category, dict) else None
    return choices if isinstance(choices, list) else []


def shape_of(params: dict[str, Any]) -> AnswerShape:
    """The shape that these parameters ask for: as a structured output, or as a schema in the system prompt."""
    structured = requested_schema(params)
    if structured is not None:
        return shape_in(structured)
    return _shape_in(text_of(params.get("system")))


@lru_cache(maxsize=_REMEMBERED_PROMPTS)
def _shape_in(system: str) -> AnswerShape:
    decoder = json.JSONDecoder()
    for opening in _MAYBE_JSON.finditer(system):
        try:
            schema, _ = decoder.raw_decode(system, opening.start())
        except (json.JSONDecodeError, RecursionError):
            continue
        if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
            return shape_in(schema)
    return AnswerShape()


def shape_in(schema: Schema) -> AnswerShape:
    """The shape that the JSON schema of a whole answer asks for."""
    finding, record, test = (_items(schema, name) for name in ("findings", "records", "tests"))
    tests = test is not None and "content" in test.get("properties", {})
    return AnswerShape(json.dumps(finding or {}), None if record is None else json.dumps(record), tests)


def _items(schema: Schema, name: str) -> dict[str, Any] | None:
    node: Any = schema
    for step in ("properties", name, "items"):
        node = node.get(step) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None
