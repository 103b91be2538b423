"""Request bodies in JSON: read, and refused when they could not be written again."""

from __future__ import annotations

from typing import Any

import orjson

from backcast_simulator.errors import ApiError, invalid

_TOO_DEEP = "recursion limit exceeded"


def parse_any(body: bytes | bytearray) -> object:
    """The body as JSON; a 400 when it is none."""
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise not_valid(str(error)) from None
    return parsed


def parse_whole(body: bytes | bytearray) -> object:
    """The body as JSON; a 400 when it is none, or nested more deeply than an answer can be written that quotes it."""
    parsed = parse_any(body)
    # orjson reads four times as deep as it writes; what is quoted in an answer is a few levels down there.
    written([[[[[[[[parsed]]]]]]]])
    return parsed


def parse_object(body: bytes | bytearray) -> dict[str, Any]:
    """The body as a JSON object; a 400 when it is none."""
    return _object(parse_any(body))


def parse_whole_object(body: bytes | bytearray) -> dict[str, Any]:
    """As `parse_whole`, of an object."""
    return _object(parse_whole(body))


def _object(parsed: object) -> dict[str, Any]:
    if not isinstance(parsed, dict):
        raise invalid("Input should be a valid dictionary")
    return parsed


def written(value: object, option: int | None = None) -> bytes:
    """The value as JSON; a 400 when it is nested too deeply."""
    try:
        return orjson.dumps(value, option=option)
    except orjson.JSONEncodeError:
        raise not_valid(_TOO_DEEP) from None


def not_valid(reason: str) -> ApiError:
    """The 400 for a body that is no JSON."""
    return invalid(f"The request body is not valid JSON: {reason}")
