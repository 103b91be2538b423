"""Proof of faithfulness: every answer of every endpoint is held against the API's OpenAPI description, and is read by
the real SDK, synchronous and asynchronous, with its strict validation on."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from backcast_simulator.answers import answerer_named
from backcast_simulator.app import build_app
from backcast_simulator.clock import SteppedClock
from backcast_simulator.rules import parse_rules
from backcast_simulator.simulator import Settings, Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anthropic.types.messages.batch_create_params import Request
    from starlette.types import Message, Receive, Scope, Send

START = dt.datetime(2026, 11, 24, 22, tzinfo=dt.UTC)
MODEL = "claude-sonnet-5-5"
ORIGIN = "http://testserver"
DESCRIPTION: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "message-batches-openapi.json").read_bytes()
)
# What the API has had since the description was written: error types and a stop reason.
NEWER_ERRORS = ("request_too_large", "conflict_error")
NEWER_STOP_REASON = "model_context_window_exceeded"
# A script may ask for these, as the API may come to answer with them; the description cannot know them.
UNKNOWN = ("brand_new_error", "brand_new_result", "brand_new_reason")


def described_with_what_is_newer() -> dict[str, Any]:
    description: dict[str, Any] = json.loads(json.dumps(DESCRIPTION))
    schemas = description["components"]["schemas"]
    schemas["StopReason"]["enum"].append(NEWER_STOP_REASON)
    for name in NEWER_ERRORS:
        error = {"type": {"const": name}, "message": {"type": "string"}}
        schemas["ErrorResponse"]["properties"]["error"]["oneOf"].append(
            {"type": "object", "required": ["type", "message"], "properties": error}
        )
    return description


KNOWN = described_with_what_is_newer()


def validate(schema: dict[str, Any], value: object, description: dict[str, Any] = KNOWN) -> None:
    whole = {"components": description["components"], **schema}
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


class Call:
    """One call as it went over the wire."""

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    @property
    def template(self) -> str:
        patterns: dict[str, str] = {path: re.sub(r"\{\w+\}", "[^/]+", path) for path in DESCRIPTION["paths"]}
        return min(
            (path for path, pattern in patterns.items() if re.fullmatch(pattern, self.path)),
            key=lambda path: path.count("{"),
        )

    def validate(self) -> tuple[str, str, str]:
        """Hold the answer against the description; returns what it is an example of."""
        operation = DESCRIPTION["paths"][self.template][self.method.lower()]
        status = "200" if self.status == 200 else "4XX"
        assert self.headers["request-id"].startswith("req_")
        ((kind, content),) = operation["responses"][status]["content"].items()
        if self.headers["content-type"].startswith("text/event-stream"):
            validate_events(self.body)
        elif status == "200" and kind == "application/x-jsonl":
            assert self.headers["content-type"].startswith(kind)
            for line in self.body.split(b"\n")[:-1]:
                validate({"$ref": "#/components/schemas/MessageBatchIndividualResponse"}, json.loads(line))
        else:
            assert self.headers["content-type"].startswith("application/json")
            validate(content["schema"], json.loads(self.body))
        return self.method, self.template, status


def validate_events(body: bytes) -> None:
    """The message of a stream, put together again, is a Message."""
    events = [json.loads(line[len("data: ") :]) for line in body.decode().split("\n") if line.startswith("data: ")]
    whole = events[0]["message"]
    for event in events:
        if event["type"] == "content_block_start":
            whole["content"].append(event["content_block"])
        elif event["type"] == "message_delta":
            whole |= event["delta"]
            whole["usage"] |= event["usage"]
    validate({"$ref": "#/components/schemas/Message"}, whole)


class World:
    """A simulator in process whose clock only the test moves, and a record of what went over the wire."""

    def __init__(self) -> None:
        self.clock = SteppedClock(START)
        self.simulator = Simulator(self.clock, answerer_named("analyst"), Settings(api_keys=frozenset({"right"})))
        self.app = build_app(self.simulator)
        self.calls: list[Call] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        call = Call(scope)
        self.calls.append(call)

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
                call.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            else:
                call.body += message.get("body", b"")
            await send(message)

        await self.app(scope, receive, recorded)

    def http(self) -> TestClient:
        return TestClient(self, base_url=ORIGIN)

    def client(self, key: str = "right") -> anthropic.Anthropic:
        return anthropic.Anthropic(
            base_url=ORIGIN, api_key=key, max_retries=0, http_client=self.http(), _strict_response_validation=True
        )

    def asynchronous_client(self, key: str = "right") -> anthropic.AsyncAnthropic:
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(self), base_url=ORIGIN)
        return anthropic.AsyncAnthropic(
            base_url=ORIGIN, api_key=key, max_retries=0, http_client=http, _strict_response_validation=True
        )

    def rules(self, *rules: dict[str, Any]) -> None:
        self.simulator.set_rules(parse_rules(list(rules)))

    def wait(self, **step: float) -> None:
        self.clock.advance(dt.timedelta(**step))


def params(text: str = "hello", **changes: Any) -> Any:
    return {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": text}], **changes}


def request(custom_id: str, text: str = "hello", **changes: Any) -> Request:
    return {"custom_id": custom_id, "params": params(text, **changes)}


TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}
OUTCOMES: dict[str, dict[str, Any]] = {
    "answer": {},
    "refusal": {},
    "truncated": {},
    "model_context_window_exceeded": {},
    "pause_turn": {},
    "stop_sequence": {"stop_sequence": "END"},
    "tool_use": {},
    "malformed": {},
    "unsupported": {},
    "invalid_request": {},
    "errored": {"error_type": "overloaded_error"},
    "expired": {},
}


def every_outcome() -> tuple[list[dict[str, Any]], list[Request]]:
    rules = [{"match": f"<{name}>", "outcome": name, "text": "forty two", **more} for name, more in OUTCOMES.items()]
    rules.append({"match": "<thinking>", "outcome": "answer", "thinking": "hm"})
    names = [*OUTCOMES, "thinking"]
    return rules, [request(name, f"<{name}>", tools=[TOOL]) for name in names]


def cached_system(text: str) -> list[Any]:
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]


# Each is one call that the API refuses, for each operation of the description.
REFUSED: list[tuple[str, str, Any]] = [
    ("POST", "/v1/messages", {"model": MODEL}),
    ("POST", "/v1/messages", params(model="claude-none")),
    ("POST", "/v1/messages/count_tokens", {}),
    ("GET", "/v1/models?limit=0", None),
    ("GET", "/v1/models/claude-none", None),
    ("POST", "/v1/messages/batches", {"requests": []}),
    ("GET", "/v1/messages/batches?limit=1001", None),
    ("GET", "/v1/messages/batches/msgbatch_none", None),
    ("DELETE", "/v1/messages/batches/msgbatch_none", None),
    ("POST", "/v1/messages/batches/msgbatch_none/cancel", None),
    ("GET", "/v1/messages/batches/msgbatch_none/results", None),
]


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    assert world.calls
    for call in world.calls:
        if call.path.startswith("/v1/") and not any(name.encode() in call.body for name in UNKNOWN):
            call.validate()


def test_the_description_lacks_what_is_newer() -> None:
    for reason in (NEWER_STOP_REASON, *UNKNOWN):
        assert reason not in DESCRIPTION["components"]["schemas"]["StopReason"]["enum"]
    known = DESCRIPTION["components"]["schemas"]["ErrorResponse"]["properties"]["error"]["discriminator"]["mapping"]
    assert not set(NEWER_ERRORS) & set(known)


def test_every_operation_is_answered_as_described_and_read_by_the_synchronous_sdk(world: World) -> None:
    client = world.client()
    rules, requests = every_outcome()
    world.rules(*rules)
    batch = client.messages.batches.create(requests=requests)
    assert batch.expires_at - batch.created_at == dt.timedelta(hours=24)
    canceled = client.messages.batches.create(requests=[request("a")])
    assert client.messages.batches.cancel(canceled.id).processing_status == "canceling"
    world.wait(hours=24)
    assert client.messages.batches.retrieve(canceled.id).request_counts.canceled == 1
    assert [each.id for each in client.messages.batches.list(limit=1)] == [canceled.id, batch.id]
    rows = {row.custom_id: row.result for row in client.messages.batches.results(batch.id)}
    assert set(rows) == {*OUTCOMES, "thinking"}
    assert [row.result.type for row in client.messages.batches.results(canceled.id)] == ["canceled"]
    assert client.messages.batches.delete(batch.id).type == "message_batch_deleted"
    assert client.messages.create(**params()).usage.service_tier == "standard"
    with client.messages.stream(**params("<thinking>")) as stream:
        stream.until_done()
    assert client.messages.count_tokens(model=MODEL, messages=params()["messages"]).input_tokens == 2
    models = [model.id for model in client.models.list(limit=1)]
    assert client.models.retrieve(models[-1]).id == models[-1]
    http = world.http()
    for method, path, body in REFUSED:
        assert http.request(method, path, json=body, headers={"x-api-key": "right"}).is_client_error
    seen = {call.validate() for call in world.calls}
    described = {
        (method.upper(), path, status)
        for path, operations in DESCRIPTION["paths"].items()
        for method, operation in operations.items()
        for status in operation["responses"]
    }
    assert seen == described


def test_every_operation_is_read_by_the_asynchronous_sdk(world: World) -> None:
    async def run() -> None:
        async with world.asynchronous_client() as client:
            rules, requests = every_outcome()
            world.rules(*rules)
            batch = await client.messages.batches.create(requests=requests)
            canceled = await client.messages.batches.create(requests=[request("a")])
            await client.messages.batches.cancel(canceled.id)
            world.wait(hours=24)
            assert (await client.messages.batches.retrieve(batch.id)).processing_status == "ended"
            assert [each.id async for each in client.messages.batches.list(limit=1)] == [canceled.id, batch.id]
            rows = [row.custom_id async for row in await client.messages.batches.results(batch.id)]
            assert sorted(rows) == sorted([*OUTCOMES, "thinking"])
            await client.messages.batches.delete(batch.id)
            assert (await client.messages.create(**params())).content[0].type == "text"
            async with client.messages.stream(**params("<thinking>")) as stream:
                final = await stream.get_final_message()
            assert [block.type for block in final.content] == ["thinking", "text"]
            assert (await client.messages.count_tokens(model=MODEL, messages=params()["messages"])).input_tokens == 2
            assert MODEL in [model.id async for model in client.models.list(limit=1)]
            assert (await client.models.retrieve(MODEL)).id == MODEL

    asyncio.run(run())


def test_the_rows_of_a_batch_stop_for_every_reason(world: World) -> None:
    client = world.client()
    rules, requests = every_outcome()
    world.rules(*rules)
    batch = client.messages.batches.create(requests=requests)
    world.wait(hours=24)
    rows = {row.custom_id: row.result for row in client.messages.batches.results(batch.id)}
    reasons = {name: row.message.stop_reason for name, row in rows.items() if row.type == "succeeded"}
    assert reasons == {
        "answer": "end_turn",
        "refusal": "refusal",
        "truncated": "max_tokens",
        "model_context_window_exceeded": "model_context_window_exceeded",
        "pause_turn": "pause_turn",
        "stop_sequence": "stop_sequence",
        "tool_use": "tool_use",
        "malformed": "end_turn",
        "unsupported": "end_turn",
        "thinking": "end_turn",
    }
    tool_use = rows["tool_use"]
    assert tool_use.type == "succeeded"
    assert [block.type for block in tool_use.message.content] == ["text", "tool_use"]
    thinking = rows["thinking"]
    assert thinking.type == "succeeded"
    assert [block.type for block in thinking.message.content] == ["thinking", "text"]
    assert {name: rows[name].type for name in ("errored", "invalid_request", "expired")} == {
        "errored": "errored",
        "invalid_request": "errored",
        "expired": "expired",
    }


def test_error_types_results_and_stop_reasons_that_nobody_knows_yet(world: World) -> None:
    client = anthropic.Anthropic(base_url=ORIGIN, api_key="right", max_retries=0, http_client=world.http())
    world.rules(
        {"match": "<error>", "outcome": "errored", "error_type": "brand_new_error"},
        {"match": "<result>", "outcome": "unknown_result", "result_type": "brand_new_result"},
        {"match": "<reason>", "outcome": "answer", "stop_reason": "brand_new_reason"},
    )
    names = ("error", "result", "reason")
    batch = client.messages.batches.create(requests=[request(name, f"<{name}>") for name in names])
    world.wait(hours=24)
    rows: dict[str, Any] = {row.custom_id: row.result for row in client.messages.batches.results(batch.id)}
    assert rows["error"].error.error.type == "brand_new_error"
    assert rows["result"].type == "brand_new_result"
    assert rows["reason"].message.stop_reason == "brand_new_reason"
    assert [charge["custom_id"] for charge in world.simulator.bill()["requests"]] == ["reason"]


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"messages": []}, 400, "messages: at least one message is required"),
        ({"max_tokens": -1}, 400, "max_tokens: must be greater than or equal to 1"),
        ({"max_tokens": 128_001}, 400, "max_tokens: 128001 > 128000, which is the maximum allowed number of output"),
        ({"temperature": 1}, 400, "temperature: Extra inputs are not permitted"),
        ({"colour": "red"}, 400, "colour: Extra inputs are not permitted"),
        ({"model": "claude-none"}, 404, "model: claude-none"),
        ({"stream": None}, 400, "stream: Input should be a valid boolean"),
        ({"messages": [{"role": "user", "content": "x" * 3_500_004}]}, 400, "prompt is too long: 1000002 tokens > 1"),
    ],
)
def test_a_dry_run_says_at_once_what_a_batch_would_say_in_a_row(
    world: World, change: dict[str, Any], status: int, message: str
) -> None:
    http = world.http()
    whole = {"requests": [{"custom_id": "a", "params": params(**change)}]}
    headers = {"authorization": "Bearer right", "anthropic-version": "2026-10-21"}
    answer = http.post("/v1/messages", json=params(**change), headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith(message)
    batch = http.post("/v1/messages/batches", json=whole, headers=headers).json()
    world.wait(hours=24)
    row = http.get(f"/v1/messages/batches/{batch['id']}/results", headers=headers).json()
    assert row["result"]["error"]["error"] == answer.json()["error"]


def test_without_tokens_for_an_answer_the_cache_is_written_but_a_batch_does_not_take_that(world: World) -> None:
    client = world.client()
    prompt: Any = params(max_tokens=0, system=cached_system("s" * 7000))
    message = client.messages.create(**prompt)
    assert (message.content, message.stop_reason, message.usage.output_tokens) == ([], "max_tokens", 0)
    assert message.usage.cache_creation_input_tokens == 2000
    assert client.messages.create(**{**prompt, "max_tokens": 9}).usage.cache_read_input_tokens == 2000
    batch = client.messages.batches.create(requests=[{"custom_id": "a", "params": prompt}])
    world.wait(hours=24)
    (row,) = client.messages.batches.results(batch.id)
    assert row.result.type == "errored"
    assert row.result.error.error.message == "max_tokens: must be greater than or equal to 1"


def test_a_streamed_answer_is_the_whole_one_in_pieces(world: World) -> None:
    client = world.client()
    world.rules({"match": "", "outcome": "tool_use", "text": "one\u2028two" * 40, "thinking": "hm"})
    tools: Any = [TOOL]
    whole = client.messages.create(**params(), tools=tools)
    with client.messages.stream(**params(), tools=tools) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_message()
    assert {"message_start", "content_block_delta", "message_delta", "message_stop"} <= kinds
    assert final.stop_reason == whole.stop_reason == "tool_use"
    streamed, at_once = ([block.model_dump(exclude={"id", "signature"}) for block in m.content] for m in (final, whole))
    assert [block.pop("parsed_output", None) for block in streamed] == [None] * 3
    assert streamed == at_once
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert len(world.simulator.bill()["requests"]) == 2
    raw = client.messages.create(**params(), stream=True)
    assert next(event.type for event in raw) == "message_start"


def test_the_asynchronous_stream_gives_the_same_text(world: World) -> None:
    async def run() -> str:
        async with world.asynchronous_client() as client, client.messages.stream(**params("abc")) as stream:
            return "".join([piece async for piece in stream.text_stream])

    assert asyncio.run(run()) == "No model was asked. The message began:\nabc"


def test_a_stream_that_is_refused_is_an_error_and_no_stream(world: World) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: claude-none"):
        world.client().messages.create(**params(model="claude-none"), stream=True)


def test_tokens_are_counted_as_they_are_charged(world: World) -> None:
    client = world.client()
    prompt: Any = {"model": MODEL, "system": cached_system("s" * 7000), "messages": params("d" * 100)["messages"]}
    counted = client.messages.count_tokens(**prompt).input_tokens
    for _ in range(2):
        usage = client.messages.create(**prompt, max_tokens=100).usage
        cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
        assert usage.input_tokens + cached == counted
    assert usage.cache_read_input_tokens == 2000
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: Extra inputs are not permitted"):
        client.messages.count_tokens(**prompt, extra_body={"max_tokens": 9})


def test_the_bill_prices_what_was_cached(world: World) -> None:
    client = world.client()
    system: Any = cached_system("s" * 7000)
    batch = client.messages.batches.create(requests=[request(f"r{n}", f"<{n}>", system=system) for n in range(40)])
    world.wait(hours=24)
    results = [row.result for row in client.messages.batches.results(batch.id)]
    usages = [result.message.usage for result in results if result.type == "succeeded"]
    bill = world.simulator.bill()
    for name in ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"):
        assert sum(getattr(usage, name) for usage in usages) == sum(charge[name] for charge in bill["requests"])
    assert 0.5 < sum(1 for usage in usages if usage.cache_read_input_tokens) / 40 < 0.9
    cost = sum(
        u.input_tokens * 2 + (u.cache_creation_input_tokens or 0) * 4 + (u.cache_read_input_tokens or 0) * 0.2
        + u.output_tokens * 10
        for u in usages
    )  # fmt: skip
    assert bill["totals"]["cost_usd"] == pytest.approx(cost / 2 / 1e6)


def test_structured_answers_follow_the_schema(world: World) -> None:
    client = world.client()
    schema = {
        "type": "object",
        "properties": {"summary": {"type": "string"}, "severity": {"enum": ["low", "high"]}},
        "required": ["summary", "severity"],
        "additionalProperties": False,
    }
    config: Any = {"format": {"type": "json_schema", "schema": schema}}
    batch = client.messages.batches.create(requests=[request("a", output_config=config)])
    loose: Any = {"format": {"type": "json_schema", "schema": {**schema, "additionalProperties": True}}}
    with pytest.raises(anthropic.BadRequestError, match="'additionalProperties' must be explicitly set to false"):
        client.messages.create(**params(output_config=loose))
    world.wait(hours=24)
    (row,) = client.messages.batches.results(batch.id)
    assert row.result.type == "succeeded"
    block = row.result.message.content[0]
    assert block.type == "text"
    Draft202012Validator(schema).validate(json.loads(block.text))


def test_models_are_listed_in_pages_both_ways(world: World) -> None:
    client = world.client()
    ids = [model.id for model in client.models.list(limit=1)]
    assert len(ids) == 4
    page = client.models.list(limit=2, after_id=ids[0])
    assert ([model.id for model in page.data], page.has_more) == (ids[1:3], True)
    page = client.models.list(limit=2, before_id=ids[2])
    assert ([model.id for model in page.data], page.has_more) == (ids[:2], False)
    model = client.models.retrieve("claude-haiku-4-5")
    assert (model.max_input_tokens, model.max_tokens) == (200_000, 64_000)
    assert model.capabilities is not None
    assert model.capabilities.batch.supported


def test_rules_are_validated_and_their_format_is_served(world: World) -> None:
    http = world.http()
    schema = http.get("/simulator/rules/schema").json()
    Draft202012Validator.check_schema(schema)
    refused = http.post("/simulator/rules", json=[{"outcome": "answer", "macth": "x"}])
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "rules.0.macth: Extra inputs are not permitted; write one of match" in refused.json()["error"]["message"]
    posted = [{"outcome": "truncated", "when": {"prompt_lacks": "<example>", "max_tokens_below": 2000}}]
    Draft202012Validator(schema).validate(posted)
    assert http.post("/simulator/rules", json=posted).json()[0]["when"] == {
        "prompt_lacks": ["<example>"],
        "max_tokens_below": 2000,
    }
    client = world.client()
    assert client.messages.create(**params()).stop_reason == "max_tokens"
    assert client.messages.create(**params("as in <example>")).stop_reason == "end_turn"
