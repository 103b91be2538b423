"""What is refused at create, what only its row tells, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from backcast_simulator.errors import ApiError
from backcast_simulator.validation import batch_params_problem, batch_requests, parse_json

VERSION = "2026-10-21"
GOOD: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hello"}],
}


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([], "requests: List should have at least 1 item after validation, not 0"),
        ([{"params": {}}], "requests.0.custom_id: Field required"),
        ([{"custom_id": "a"}], "requests.0.params: Field required"),
        ([{"custom_id": "a" * 65, "params": {}}], "requests.0.custom_id: String should have at most 64 characters"),
        (
            [{"custom_id": "a b", "params": {}}],
            "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
        ),
        ([{"custom_id": "a\n", "params": {}}], "requests.0.custom_id: String should match pattern"),
        (
            [{"custom_id": f"r{number}", "params": {}} for number in range(100_001)],
            "requests: List should have at most 100000 items after validation, not 100001",
        ),
        (
            [{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}],
            "requests: custom_id's must be unique within a batch. Duplicate custom_id found: a",
        ),
    ],
)
def test_create_refuses_at_once(requests: list[Any], message: str) -> None:
    with pytest.raises(ApiError) as refused:
        batch_requests({"requests": requests})
    assert refused.value.status == 400
    assert refused.value.problem.type == "invalid_request_error"
    assert refused.value.problem.message.startswith(message)


def test_create_refuses_a_body_that_is_no_json() -> None:
    with pytest.raises(ApiError, match="The request body is not valid JSON: "):
        parse_json(b"{")


def test_create_takes_requests_and_nothing_else() -> None:
    with pytest.raises(ApiError, match="name: Extra inputs are not permitted"):
        batch_requests({"requests": [{"custom_id": "a", "params": {}}], "name": "tonight"})
    with pytest.raises(ApiError, match="requests: Field required"):
        batch_requests({})


def test_create_does_not_look_into_params() -> None:
    assert batch_requests({"requests": [{"custom_id": "a", "params": {"nonsense": 1}}]}) == [("a", {"nonsense": 1})]


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"messages": None}, "invalid_request_error", "messages: Input should be a valid list"),
        ({"max_tokens": 0}, "invalid_request_error", "max_tokens: must be greater than or equal to 1"),
        (
            {"max_tokens": 128001},
            "invalid_request_error",
            "max_tokens: 128001 > 64000, which is the maximum allowed number of output tokens for claude-haiku-4-5",
        ),
        ({"stream": True}, "invalid_request_error", '"stream=True" is not supported in the Message Batches API'),
        ({"speed": "fast"}, "invalid_request_error", '"speed" is not supported in the Message Batches API'),
        ({"temperature": 1}, "invalid_request_error", "temperature: Extra inputs are not permitted"),
        ({"top_p": 1}, "invalid_request_error", "top_p: Extra inputs are not permitted"),
        ({"top_k": 0}, "invalid_request_error", "top_k: Extra inputs are not permitted"),
        ({"colour": "red"}, "invalid_request_error", "colour: Extra inputs are not permitted"),
        ({"model": "claude-none"}, "not_found_error", "model: claude-none"),
        (
            {"messages": [{"role": "user", "content": "x" * 769_643}]},
            "invalid_request_error",
            "prompt is too long: 219898 tokens > 200000 maximum",
        ),
    ],
)
def test_params_are_refused_in_the_row(change: dict[str, Any], kind: str, message: str) -> None:
    problem = batch_params_problem({**GOOD, **change}, VERSION, frozenset())
    assert problem is not None
    assert (problem.type, problem.message) == (kind, message)


def test_a_missing_field_is_named() -> None:
    without = {name: value for name, value in GOOD.items() if name != "messages"}
    problem = batch_params_problem(without, VERSION, frozenset())
    assert problem is not None
    assert problem.message == "messages: Field required"


def test_an_older_api_version_takes_a_temperature() -> None:
    assert batch_params_problem({**GOOD, "temperature": 0.2}, "2023-06-01", frozenset()) is None


def test_a_beta_raises_the_limit_of_output_tokens() -> None:
    params = {**GOOD, "model": "claude-sonnet-5-5", "max_tokens": 300_000}
    assert batch_params_problem(params, VERSION, frozenset()) is not None
    assert batch_params_problem(params, VERSION, frozenset({"output-300k-2026-03-24"})) is None
