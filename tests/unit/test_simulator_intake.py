"""Create calls taken apart by where requests begin and end must say what a parse of the whole body says."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulated import params

from backcast_simulator.errors import ApiError
from backcast_simulator.intake import Intake, take_in
from backcast_simulator.validation import batch_requests, parse_json

SAFE_TEXT = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | SAFE_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SAFE_TEXT, inner, max_size=3),
    max_leaves=10,
)


def outcome(take: Any, body: bytes) -> Any:
    try:
        return list(take(body))
    except ApiError as error:
        return (error.status, error.problem)


def as_a_whole(body: bytes) -> Any:
    return batch_requests(parse_json(body))


@given(st.lists(st.dictionaries(SAFE_TEXT, VALUES, max_size=4), min_size=1, max_size=5), st.booleans())
def test_any_requests(all_params: list[Any], spread: bool) -> None:
    requests = [{"custom_id": f"r{number}", "params": each} for number, each in enumerate(all_params)]
    body = json.dumps({"requests": requests}, indent=2 if spread else None, ensure_ascii=spread).encode()
    assert isinstance(take_in(body), Intake)
    assert outcome(take_in, body) == outcome(as_a_whole, body)


@given(st.binary(max_size=60), st.integers(0, 200))
def test_any_broken_body(junk: bytes, position: int) -> None:
    body = orjson.dumps({"requests": [{"custom_id": "a", "params": params('{"x}')}, {"custom_id": "b", "params": {}}]})
    broken = body[:position] + junk + body[position + len(junk) :]
    assert outcome(take_in, broken) == outcome(as_a_whole, broken)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"requests":[]}',
        b'{"requests":[{}]}',
        b'{"requests":[{"custom_id":"a","params":{}},]}',
        b'{"requests":\x0b[{"custom_id":"a","params":{}}]}',
        b'{"requests":[{"custom_id":"a","params":{}}\x0c]}',
        b'{"requests":[{"custom_id":"a","params":{}}]}x',
        b'{"requests":[{"custom_id":"a","params":{}}],"x":1}',
        b'{"x":1,"requests":[{"custom_id":"a","params":{}}]}',
        b'{"requests":[{"custom_id":"a","params":{}},{"custom_id":"a","params":{}}]}',
        b'{"requests":[{"custom_id":"a b","params":{}},{"custom_id":}]}',
        b'{"requests":[{"custom_id":"a","params":{}} {"custom_id":"b","params":{}}]}',
        b'{"requests":[{"custom_id":"a","params":{}},1]}',
        b'{"requests":[{"custom_id":"a","params":{"x":"\xff"}}]}',
    ],
)
def test_odd_bodies(body: bytes) -> None:
    assert outcome(take_in, body) == outcome(as_a_whole, body)
