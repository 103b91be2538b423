"""Structured outputs: the schema of an answer as the API takes it."""

from __future__ import annotations

from typing import Any

import anthropic
import orjson


def output_config(answer_schema: str) -> dict[str, Any]:
    """Return the `output_config` that asks for answers of this JSON schema, given as text.

    The API knows fewer keywords than JSON schema has; those it does not know become part of the descriptions, so an
    answer is to be validated all the same.
    """
    schema = anthropic.transform_schema(orjson.loads(answer_schema))
    return {"format": {"type": "json_schema", "schema": schema}}
