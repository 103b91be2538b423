"""Taking a create call's body apart without a copy of it in objects: request by request, as each one is due."""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import orjson

from backcast_simulator.errors import ApiError
from backcast_simulator.validation import MAX_REQUESTS, batch_requests, check_unique, parse_json, request_pair

if TYPE_CHECKING:
    from collections.abc import Iterator

Pair = tuple[str, dict[str, Any]]

_OPENING = ord("{")
# What JSON takes for a blank: less than `\s` does.
_BLANKS = rb"[ \t\n\r]*"
_START = re.compile(_BLANKS.join((rb"", rb"\{", rb'"requests"', rb":", rb"\[", rb"(?=\{)")))
_BETWEEN = re.compile(_BLANKS.join((rb"", rb"(?:(,)", rb"(?=\{)|\]", rb"\}", rb"\Z)")))
# Runs over strings, whose braces do not count, to the next brace.
_TO_BRACE = re.compile(rb'(?:[^"{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+[{}]', re.DOTALL)


class Intake(Collection[Pair]):
    """The (custom_id, params) pairs of a body that has passed the checks at create; may be gone through again."""

    def __init__(self, body: bytes | bytearray, spans: array[int]) -> None:
        self._body = body
        self._spans = spans

    def __len__(self) -> int:
        return len(self._spans) // 2

    def __contains__(self, pair: object) -> bool:
        return any(pair == own for own in self)

    def __iter__(self) -> Iterator[Pair]:
        for request in self._requests():
            yield request["custom_id"], request["params"]

    def _requests(self) -> Iterator[Any]:
        body, spans = memoryview(self._body), iter(self._spans)
        for start, end in zip(spans, spans, strict=True):
            yield orjson.loads(body[start:end])

    def checked(self) -> Intake:
        """Itself, when its requests can be accepted; a 400 in the API's words when not."""
        check_unique([request_pair(index, request)[0] for index, request in enumerate(self._requests())])
        return self


def take_in(body: bytes | bytearray) -> Collection[Pair]:
    """The requests of a create call; a 400 in the API's words when they cannot be accepted.

    A body in the one shape that clients send is taken apart by where its requests begin and end. Whatever is not in
    it, or is refused, is parsed as a whole, so that there is one place that words the errors.
    """
    spans = _spans(body)
    if spans is not None and len(spans) <= 2 * MAX_REQUESTS:
        try:
            return Intake(body, spans).checked()
        except (orjson.JSONDecodeError, ApiError):
            pass
    return batch_requests(parse_json(body))


def _spans(body: bytes | bytearray) -> array[int] | None:
    start = _START.match(body)
    if start is None:
        return None
    spans, position = array("Q"), start.end()
    while True:
        end = _end_of_object(body, position)
        if end is None:
            return None
        spans.extend((position, end))
        between = _BETWEEN.match(body, end)
        if between is None:
            return None
        if between[1] is None:
            return spans
        position = between.end()


def _end_of_object(body: bytes | bytearray, start: int) -> int | None:
    depth, position = 0, start
    while True:
        brace = _TO_BRACE.match(body, position)
        if brace is None:
            return None
        position = brace.end()
        depth += 1 if body[position - 1] == _OPENING else -1
        if depth == 0:
            return position
