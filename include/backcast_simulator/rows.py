"""The rows of results, and what a fault may do to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from backcast_simulator.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backcast_simulator.columns import Request

Row = dict[str, Any]


class StreamCutError(Exception):
    """Raised in the midst of a stream: the connection is to be closed after what has been sent."""


def lines(
    parts: Iterator[list[Request]], row: Callable[[Request], Row], fault: dict[str, Any] | None
) -> Iterator[bytes]:
    """The rows of these requests as JSON lines, in parts; `fault` are the options of a fault of the kind `rows`."""
    whole = ([orjson.dumps(row(request)) for request in part] for part in parts)
    yield from (b"\n".join(part) + b"\n" for part in whole) if not fault else _spoiled(whole, fault)


def _spoiled(parts: Iterator[list[bytes]], fault: dict[str, Any]) -> Iterator[bytes]:
    # One row is held back so that the last one is known.
    held: bytes | None = None
    for row in _with_odd_rows((row for part in parts for row in part), fault):
        if held is not None:
            yield held + b"\n"
        held = row
    if held is None:
        return
    if fault.get("cut"):
        yield held[: len(held) // 2]
        raise StreamCutError
    yield held[: len(held) // 2] if fault.get("broken_last") else held + b"\n"


def _with_odd_rows(rows: Iterator[bytes], fault: dict[str, Any]) -> Iterator[bytes]:
    for number in range(fault.get("unknown", 0)):
        yield _unknown_row(number)
    missing, repeated = fault.get("missing", 0), fault.get("repeated", 0)
    for number, row in enumerate(rows):
        if number < missing:
            continue
        yield row
        if number < missing + repeated:
            yield row


def _unknown_row(number: int) -> bytes:
    error = Problem("api_error", "Internal server error").envelope(None)
    return orjson.dumps({"custom_id": f"unknown-{number}", "result": {"type": "errored", "error": error}})
