"""Structured outputs: which schemas are refused, and that answers follow the others."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from backcast_simulator.structured import fit, schema_problem
from backcast_simulator.validation import params_problem


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


FINDINGS = an_object(
    findings={
        "type": "array",
        "items": an_object(
            title={"type": "string"},
            severity={"enum": ["high", "medium", "low"]},
            line={"type": ["integer", "null"]},
            more={"$ref": "#/$defs/more"},
        ),
    }
) | {"$defs": {"more": {"anyOf": [{"type": "null"}, an_object(note={"type": "string"})]}}}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "object", "properties": {}}, "'additionalProperties' must be explicitly set to false"),
        (an_object(a={"type": "array", "items": {"type": "object"}}), "'additionalProperties' must be explicitly"),
        (an_object(a={"type": "integer", "minimum": 1}), "For 'integer' type, properties minimum are not supported"),
        (an_object(a={"type": "string", "maxLength": 9}), "For 'string' type, properties maxLength are not supported"),
        (an_object(a={"type": "array", "minItems": 2}), "'minItems' values other than 0 or 1 are not supported"),
        (an_object(a={"type": "array", "maxItems": 2}), "For 'array' type, properties maxItems are not supported"),
        (an_object(a={"$ref": "#"}), "Circular reference detected: #"),
        (an_object(a={"$ref": "#/$defs/none"}), "Reference #/$defs/none cannot be resolved"),
        (an_object(a={"oneOf": [{"type": "null"}]}), "'oneOf' is not supported"),
        (an_object(a={"enum": []}), "'enum' should be a list with at least 1 item"),
        (an_object(a={"type": "colour"}), "Invalid type: colour"),
        (an_object(a={}), "Schema must have a 'type'"),
        (an_object(a={"anyOf": []}), "Input should be a valid dictionary"),
        (an_object(a=3), "Input should be a valid dictionary"),
    ],
)
def test_a_schema_that_is_not_supported_is_refused(schema: dict[str, Any], message: str) -> None:
    problem = schema_problem(schema)
    assert problem is not None
    assert problem.startswith("output_config.format.schema: ")
    assert message in problem


def test_a_schema_that_the_sdk_has_transformed_is_taken() -> None:
    loose = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    assert schema_problem(anthropic.transform_schema(loose)) is None
    assert schema_problem(FINDINGS) is None


@pytest.mark.parametrize(
    "output_config",
    [
        None,
        [],
        {"format": 3},
        {"format": {"type": "xml"}},
        {"format": {"type": "json_schema"}},
        {"format": {"type": "json_schema", "schema": None}},
        {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        {"effort": "enormous"},
        {"colour": 1},
    ],
)
def test_a_wrong_output_config_is_a_400(output_config: object) -> None:
    params = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hello"}],
        "output_config": output_config,
    }
    problem = params_problem(params, "2026-10-21")
    assert problem is not None
    assert problem.type == "invalid_request_error"
    assert problem.message.startswith("output_config")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["findings", "title", "a"]), inner),
    max_leaves=8,
)


@given(JSON)
def test_whatever_the_answer_was_it_is_made_to_follow_the_schema(value: object) -> None:
    Draft202012Validator(FINDINGS).validate(fit(value, FINDINGS, "text"))


def test_what_fits_stays_and_what_does_not_goes() -> None:
    finding = {"title": "T", "severity": "HIGH", "line": 3, "more": {"note": "n"}, "evidence": "e"}
    assert fit({"findings": [finding], "x": 1}, FINDINGS, "text") == {
        "findings": [{"title": "T", "severity": "high", "line": 3, "more": {"note": "n"}}]
    }


def test_the_casing_of_enum_values_may_vary() -> None:
    schema = an_object(severity={"enum": ["high"]})
    seen = {json.dumps(fit({"severity": "high"}, schema, f"text {n}", "varied")) for n in range(50)}
    assert seen == {'{"severity": "high"}', '{"severity": "HIGH"}', '{"severity": "High"}'}
