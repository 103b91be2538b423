"""Whatever is sent to whichever endpoint: no 500, always the error envelope and a request-id."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from backcast_simulator.answers import answerer_named
from backcast_simulator.app import build_app
from backcast_simulator.clock import SteppedClock
from backcast_simulator.errors import STATUS_BY_TYPE
from backcast_simulator.simulator import Settings, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx2 import Response

START = dt.datetime(2026, 11, 24, 22, tzinfo=dt.UTC)
MODEL = "claude-sonnet-5-5"
METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS")
ROUTES = (
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/messages/batches",
    "/v1/messages/batches/{id}",
    "/v1/messages/batches/{id}/cancel",
    "/v1/messages/batches/{id}/results",
    "/v1/models",
    "/v1/models/{id}",
)
CONTROL = ("/simulator/rules", "/simulator/faults", "/simulator/settings", "/simulator/clock", "/simulator/strangers")

GOOD: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 100,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
    "system": [{"type": "text", "text": "s" * 2000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}],
    "tool_choice": {"type": "auto"},
    "thinking": {"type": "adaptive"},
    "metadata": {"user_id": "u"},
    "stop_sequences": ["END"],
    "stream": False,
    "output_config": {
        "effort": "low",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"a": {"type": "array", "items": {"enum": ["x"]}}, "b": {"$ref": "#/$defs/b"}},
                "$defs": {"b": {"anyOf": [{"type": "null"}, {"type": "integer"}]}},
                "required": ["a"],
                "additionalProperties": False,
            },
        },
    },
}
RULE = {
    "match": "a",
    "outcome": "answer",
    "attempts": [1],
    "share": 0.5,
    "when": {"prompt_contains": ["x"], "max_tokens_below": 5},
    "tool": {"name": "f", "input": {}},
}
FAULT = {"kind": "error", "endpoint": "create", "times": 1, "status": 500, "type": "api_error", "details": {}}

SCALARS = (
    st.none()
    | st.booleans()
    | st.sampled_from([-1, 0, 1, 2**31, 2**63, 10**30])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", " ", "a", "user", "text", "ephemeral", "object", "#", "\x00", "\u2028", "🦎", MODEL])
)
# Deeper than orjson writes, though it reads it.
DEEP_VALUES: list[Any] = [json.loads("[" * 300 + "]" * 300), {"a": [[[[{"a": {}}]]]]}]
ODD = st.sampled_from(DEEP_VALUES) | st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "a", "$ref"]), inner),
    max_leaves=6,
)
DEEP = b"[" * 300 + b"]" * 300
NO_JSON = st.binary(max_size=30) | st.sampled_from([b"", b"{", b"nul", b'{"a": NaN}', b'"\\ud800"', b"\xff", DEEP])


def paths_in(value: object) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        steps: list[tuple[str | int, object]] = list(value.items())
    else:
        steps = list(enumerate(value)) if isinstance(value, list) else []
    return [(), *((step, *rest) for step, inner in steps for rest in paths_in(inner))]


def changed(value: Any, path: tuple[str | int, ...], change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    step, *rest = path
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[step] = changed(copy[step], tuple(rest), change)  # type: ignore[index]
    return copy


def mutated(good: object) -> st.SearchStrategy[Any]:
    """The good value with something odd in one place, or with one more field there."""

    def at(path: tuple[str | int, ...]) -> st.SearchStrategy[Any]:
        replaced = ODD.map(lambda odd: changed(good, path, lambda _: odd))
        extended = ODD.map(
            lambda odd: changed(good, path, lambda old: {**old, "extra": odd} if isinstance(old, dict) else odd)
        )
        return replaced | extended

    return st.sampled_from(paths_in(good)).flatmap(at)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def as_bytes(headers: dict[str, bytes]) -> dict[bytes, bytes]:
    return {name.encode(): value for name, value in headers.items()}


PARAMS = mutated(GOOD)
BODIES = st.one_of(
    PARAMS.map(as_json),
    mutated({"requests": [{"custom_id": "a", "params": {}}]}).map(as_json),
    PARAMS.map(lambda params: as_json({"requests": [{"custom_id": "a", "params": params}]})),
    ODD.map(as_json),
    NO_JSON,
)
IDS = st.text(min_size=1, max_size=20).filter(lambda text: text.strip("./")) | st.sampled_from(
    [MODEL, "%00", "a" * 999]
)
QUERIES = st.dictionaries(
    st.sampled_from(["limit", "after_id", "before_id", "beta", "x"]),
    st.sampled_from(["", "0", "-1", "1001", "1e3", "٣", "null", "1" * 5000, "msgbatch_none", "\x00"])
    | st.text(max_size=5),
    max_size=3,
)
HEADERS = st.dictionaries(
    st.sampled_from(["anthropic-version", "anthropic-beta", "content-type", "accept", "x-stainless-retry-count"]),
    st.sampled_from(["", ",", "2023-06-01", "2026-10-21", "tomorrow", "a" * 2000, "\t,é"]).map(lambda v: v.encode()),
    max_size=3,
)
KEYS = st.sampled_from([
    {"x-api-key": b"k"}, {"authorization": b"Bearer k"}, {"authorization": b"Bearer"}, {"authorization": b"Basic a2s="},
    {"x-api-key": b" "}, {}, {"authorization": b"\xff"},
])  # fmt: skip


@pytest.fixture(scope="module")
def http() -> TestClient:
    simulator = Simulator(SteppedClock(START), answerer_named("analyst"), Settings())
    return TestClient(build_app(simulator), raise_server_exceptions=False)


def check(answer: Response, method: str) -> None:
    assert answer.headers["request-id"].startswith("req_")
    assert answer.headers["x-backcast-simulator"]
    assert answer.status_code < 500, answer.text
    if answer.status_code < 400 or method == "HEAD":
        return
    body = answer.json()
    assert set(body) == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert body["request_id"] == answer.headers["request-id"]
    assert isinstance(body["error"]["message"], str)
    assert body["error"]["message"]
    assert STATUS_BY_TYPE[body["error"]["type"]] in (answer.status_code, 400)


quickly = settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quickly
@given(
    method=st.sampled_from(METHODS), route=st.sampled_from(ROUTES), name=IDS, query=QUERIES, headers=HEADERS, key=KEYS,
    body=BODIES,
)  # fmt: skip
def test_anything_to_any_endpoint_of_the_api(  # noqa: PLR0913, PLR0917  all that a call consists of
    http: TestClient,
    method: str,
    route: str,
    name: str,
    query: dict[str, str],
    headers: dict[str, bytes],
    key: dict[str, bytes],
    body: bytes,
) -> None:
    path = route.replace("{id}", quote(name, safe=""))
    check(http.request(method, path, params=query, headers=as_bytes(headers | key), content=body), method)


@quickly
@given(params=PARAMS, headers=HEADERS)
def test_odd_parameters_are_refused_at_once_or_answered(
    http: TestClient, params: object, headers: dict[str, bytes]
) -> None:
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        check(http.post(path, content=as_json(params), headers=as_bytes({"x-api-key": b"k", **headers})), "POST")


def test_odd_parameters_in_a_batch_end_in_rows() -> None:
    clock = SteppedClock(START)
    http = TestClient(
        build_app(Simulator(clock, answerer_named("analyst"))),
        raise_server_exceptions=False,
        headers={"x-api-key": "k"},
    )

    @quickly
    @given(params=PARAMS.filter(lambda params: isinstance(params, dict)))
    def run(params: object) -> None:
        created = http.post("/v1/messages/batches", json={"requests": [{"custom_id": "a", "params": params}]})
        check(created, "POST")
        if created.status_code == 400:
            # Nested deeper than the parser reads: refused at once.
            assert "recursion limit exceeded" in created.json()["error"]["message"]
            return
        clock.advance(dt.timedelta(hours=24))
        row = http.get(f"/v1/messages/batches/{created.json()['id']}/results").json()
        assert row["result"]["type"] in ("succeeded", "errored")
        if row["result"]["type"] == "errored":
            error = row["result"]["error"]["error"]
            assert error["type"] in ("invalid_request_error", "not_found_error")
        check(http.get("/simulator/bill"), "GET")

    run()


@quickly
@given(
    path=st.sampled_from(CONTROL),
    body=mutated([RULE]) | mutated(FAULT) | mutated({"counts": "moving"}) | mutated({"advance_seconds": 1}) | ODD,
)
def test_anything_to_the_endpoints_that_steer_the_simulator(http: TestClient, path: str, body: object) -> None:
    check(http.post(path, content=as_json(body)), "POST")
    http.post("/simulator/rules", json=[]).raise_for_status()
    http.post("/simulator/faults", json={}).raise_for_status()


@pytest.mark.parametrize("path", CONTROL)
@given(body=NO_JSON)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_no_json_is_refused_by_the_endpoints_that_steer_the_simulator(
    http: TestClient, path: str, body: bytes
) -> None:
    check(http.post(path, content=body), "POST")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/messages/", "/simulator/nothing", "/v1/models/a/b"])
def test_there_is_an_envelope_where_there_is_no_route(http: TestClient, method: str, path: str) -> None:
    answer = http.request(method, path, headers={"x-api-key": "k"})
    assert answer.status_code in (404, 405)
    check(answer, method)
