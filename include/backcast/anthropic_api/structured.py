"""Structured outputs: the schema of an answer as the API takes it."""

from __future__ import annotations

from typing import Any

import anthropic
import orjson

from backcast.domain.errors import InputError


def output_config(answer_schema: str) -> dict[str, Any]:
    """Return the `output_config` that asks for answers of this JSON schema, given as text.

    The API knows fewer keywords than JSON schema has; those it does not know become part of the descriptions, so an
    answer is to be validated all the same.

    Raises:
        InputError: it can be said in no way that the API knows.
    """
    try:
        schema = anthropic.transform_schema(orjson.loads(answer_schema))
    except (ValueError, TypeError, AssertionError, RecursionError) as error:
        raise InputError(
            f"The answer schema cannot be kept to by the API: {error} Give each property one `type`, or an `enum` or "
            "`anyOf` of such, or write `structured_outputs: false` in workflow.yaml, which leaves it to the prompt."
        ) from error
    return {"format": {"type": "json_schema", "schema": schema}}
