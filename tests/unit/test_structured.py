"""The API is told an answer schema in its own words, whatever the ways in which a JSON schema can be written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backcast.anthropic_api.structured import output_config
from backcast_simulator.structured import schema_problem

NULLABLE = {"type": ["string", "null"], "description": "as written"}


def told(schema: dict[str, Any]) -> Any:
    return output_config(json.dumps(schema))["output_config"]["format"]["schema"]


def test_a_field_of_several_types_is_one_of_several_schemas() -> None:
    items = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": NULLABLE, "kind": {"type": ["string", "null"], "enum": ["a", None]}},
    }
    schema = told({"type": "object", "properties": {"records": {"type": "array", "items": items}}})
    fields = schema["properties"]["records"]["items"]["properties"]
    assert fields["name"] == {"description": "as written", "anyOf": [{"type": "string"}, {"type": "null"}]}
    assert fields["kind"] == {"enum": ["a", None]}
    assert schema_problem(schema) is None


def test_each_of_several_types_keeps_what_is_said_of_it_alone() -> None:
    many = {"type": ["object", "array"], "properties": {"a": NULLABLE}, "items": NULLABLE}
    of_object, of_array = told({"type": "object", "properties": {"many": many}})["properties"]["many"]["anyOf"]
    assert (of_object["type"], "items" in of_object, of_array["type"]) == ("object", False, "array")
    assert "properties" not in of_array


@pytest.mark.parametrize("anything", [{}, {"type": "objekt"}, {"not": {"type": "string"}}])
def test_of_a_schema_that_cannot_be_told_nothing_is_asked(anything: dict[str, Any]) -> None:
    assert output_config(json.dumps({"type": "object", "properties": {"records": anything}})) == {}
