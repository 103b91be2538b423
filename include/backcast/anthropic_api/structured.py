"""Structured outputs: the schema of an answer as the API takes it."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any, Final

import anthropic
import orjson

_log = logging.getLogger(__name__)
# Keywords that hold values of answers, and no schemas.
_VALUES: Final = frozenset({"enum", "const", "default", "examples", "required"})
# What says something of one type alone.
_OF_ONE: Final = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "minItems", "maxItems", "uniqueItems"),
}


def output_config(answer_schema: str) -> dict[str, Any]:
    """Return the parameters that ask for answers of this JSON schema, given as text: an `output_config`.

    The API knows fewer keywords than JSON schema has; those it does not know become part of the descriptions, so an
    answer is to be validated all the same. Of a schema that it cannot be told in any way nothing is asked: then its
    text in the prompt has to do.
    """
    schema = _transformed(answer_schema)
    return {} if schema is None else {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


@lru_cache(maxsize=16)
def _transformed(answer_schema: str) -> Any:  # noqa: ANN401  any JSON
    try:
        return anthropic.transform_schema(_with_single_types(orjson.loads(answer_schema)))
    # The SDK's own function raises AssertionError where it meets what it has not been taught.
    except (ValueError, TypeError, AssertionError) as error:
        _log.warning("The API is not asked to keep to the answer schema, which it cannot be told: %s", error)
        return None


def _with_single_types(schema: Any) -> Any:  # noqa: ANN401  any JSON
    """Write what may be of several types, which the SDK cannot read, as one schema for each."""
    match schema:
        case {"type": [*_], "enum": [*_]}:
            return {name: value for name, value in schema.items() if name != "type"}
        case {"type": [*kinds]}:
            kept = {name: schema[name] for name in ("title", "description") if name in schema}
            rest = {name: value for name, value in schema.items() if name not in {*kept, "type"}}
            return kept | {"anyOf": [_with_single_types(_of(kind, rest)) for kind in kinds]}
        case {"properties": {**properties}, **others}:
            inner = {name: _with_single_types(value) for name, value in properties.items()}
            return _with_single_types(others) | {"properties": inner}
        case dict():
            return {name: value if name in _VALUES else _with_single_types(value) for name, value in schema.items()}
        case list():
            return [_with_single_types(item) for item in schema]
    return schema


def _of(kind: str, keywords: dict[str, Any]) -> dict[str, Any]:
    foreign = {name for other, names in _OF_ONE.items() if other != kind for name in names}
    own = {name: value for name, value in keywords.items() if name not in foreign}
    return {"type": kind} if kind in {"null", "boolean"} else {"type": kind} | own
