"""How answers are delivered: their blocks, why they stop, what they spend, and how they are streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backcast_simulator.answers import AnalystAnswerer, EchoAnswerer
from backcast_simulator.catalogue import MODELS, CachedTokens
from backcast_simulator.messages import message
from backcast_simulator.prompts import input_tokens
from backcast_simulator.replies import Reply, reply
from backcast_simulator.rules import parse_rules
from backcast_simulator.streaming import events
from backcast_simulator.validation import params_problem

TOOL = {
    "name": "look_up",
    "input_schema": {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]},
}
SCHEMA = {
    "type": "object",
    "properties": {"summary": {"type": "string"}},
    "required": ["summary"],
    "additionalProperties": False,
}


def params(text: str = "hello", **changes: Any) -> dict[str, Any]:
    given = {"model": "claude-sonnet-5-5", "max_tokens": 4096, "messages": [{"role": "user", "content": text}]}
    return {**given, **changes}


def scripted(rule: dict[str, Any], **changes: Any) -> Reply:
    return reply(params(**changes), parse_rules([rule])[0], EchoAnswerer())


@pytest.mark.parametrize(
    ("rule", "stop_reason"),
    [
        ({"outcome": "answer"}, "end_turn"),
        ({"outcome": "truncated"}, "max_tokens"),
        ({"outcome": "model_context_window_exceeded"}, "model_context_window_exceeded"),
        ({"outcome": "refusal"}, "refusal"),
        ({"outcome": "tool_use"}, "tool_use"),
        ({"outcome": "pause_turn"}, "pause_turn"),
        ({"outcome": "stop_sequence"}, "stop_sequence"),
        ({"outcome": "malformed"}, "end_turn"),
        ({"outcome": "unsupported"}, "end_turn"),
        ({"outcome": "answer", "stop_reason": "never_heard_of"}, "never_heard_of"),
    ],
)
def test_every_stop_reason_can_be_scripted(rule: dict[str, Any], stop_reason: str) -> None:
    answer = scripted({"text": "one two three four", **rule})
    assert answer.stop_reason == stop_reason
    assert answer.output_tokens >= 1


def test_an_answer_is_cut_at_max_tokens() -> None:
    answer = scripted({"outcome": "answer", "text": "x" * 100}, max_tokens=10)
    assert (answer.text, answer.stop_reason, answer.output_tokens) == ("x" * 35, "max_tokens", 10)


def test_an_answer_is_cut_at_the_end_of_the_window() -> None:
    model = MODELS["claude-haiku-4-5"]
    prompt = "x" * int((model.max_input_tokens - 10) * 3.5)
    request = params(prompt, model=model.id)
    assert params_problem(request, "2026-10-21") is None
    rule = parse_rules([{"outcome": "answer", "text": "y" * 1000}])[0]
    answer = reply(request, rule, EchoAnswerer())
    assert (answer.stop_reason, answer.output_tokens) == ("model_context_window_exceeded", 10)


def test_thinking_comes_before_the_text_and_spends_max_tokens() -> None:
    answer = scripted({"outcome": "answer", "text": "y" * 70, "thinking": "z" * 35}, max_tokens=20)
    view = message(params(), answer, ("a",), "synchronous")
    assert [block["type"] for block in view["content"]] == ["thinking", "text"]
    assert (answer.stop_reason, answer.output_tokens, len(answer.text)) == ("max_tokens", 20, 35)
    assert view["usage"]["output_tokens_details"] == {"thinking_tokens": 10}
    starved = scripted({"outcome": "answer", "text": "y", "thinking": "z" * 350}, max_tokens=20)
    assert (starved.text, starved.stop_reason, starved.thinking_tokens) == ("", "max_tokens", 20)


def test_thinking_comes_when_it_is_asked_for() -> None:
    assert reply(params(thinking={"type": "adaptive"}), None, EchoAnswerer()).thinking
    assert not reply(params(thinking={"type": "disabled"}), None, EchoAnswerer()).thinking


def test_a_tool_is_called_by_script_or_by_tool_choice() -> None:
    answer = scripted({"outcome": "tool_use"}, tools=[TOOL])
    block = message(params(), answer, ("a",), "batch")["content"][-1]
    assert (block["type"], block["name"], list(block["input"])) == ("tool_use", "look_up", ["key"])
    told = scripted({"outcome": "tool_use", "tool": {"name": "look_up", "input": {"key": "k"}}}, tools=[TOOL])
    assert told.tool is not None
    assert told.tool.input == {"key": "k"}
    for choice in ({"type": "any"}, {"type": "tool", "name": "look_up"}):
        assert reply(params(tools=[TOOL], tool_choice=choice), None, EchoAnswerer()).stop_reason == "tool_use"
    assert reply(params(tools=[TOOL]), None, EchoAnswerer()).stop_reason == "end_turn"


def test_a_stop_sequence_in_the_answer_ends_it() -> None:
    answer = reply(params("one STOP two"), None, EchoAnswerer())
    assert answer.stop_reason == "end_turn"
    answer = reply(params("one STOP two", stop_sequences=["END", "STOP"]), None, EchoAnswerer())
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "STOP")
    assert answer.text.endswith("one ")


def test_answers_follow_the_schema_but_not_when_cut_or_malformed() -> None:
    structured: dict[str, Any] = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    assert json.loads(scripted({"outcome": "answer", "text": "free text"}, **structured).text) == {
        "summary": "free text"
    }
    assert json.loads(scripted({"outcome": "answer", "text": '{"summary": "s", "x": 1}'}, **structured).text) == {
        "summary": "s"
    }
    assert list(json.loads(reply(params(**structured), None, AnalystAnswerer()).text)) == ["summary"]
    for outcome in ("malformed", "truncated"):
        with pytest.raises(json.JSONDecodeError):
            json.loads(scripted({"outcome": outcome}, **structured).text)


def test_an_unsupported_finding_quotes_what_is_not_in_the_document() -> None:
    document = 'See\n<document-0123456789ab path="a.py" language="python">\n1| import os\n</document-0123456789ab>\n'
    (rule,) = parse_rules([{"outcome": "unsupported"}])
    for text in (document, "no document at all"):
        findings = json.loads(reply(params(text), rule, AnalystAnswerer()).text)["findings"]
        assert findings
        assert all(finding["evidence"] not in text for finding in findings)


def test_usage_names_the_uncached_rest_and_the_cached_parts() -> None:
    request = params("x" * 35_000)
    view = message(request, Reply("t", "end_turn", 1), ("a",), "batch", CachedTokens(3000, 1000, 2000))
    usage = view["usage"]
    assert usage["input_tokens"] == input_tokens(request) - 6000
    assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (3000, 3000)
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}
    assert usage["service_tier"] == "batch"


def test_a_streamed_message_comes_in_the_apis_order() -> None:
    answer = scripted({"outcome": "tool_use", "text": "hello", "thinking": "hm"}, tools=[TOOL])
    names = [name for name, _ in events(message(params(), answer, ("a",), "synchronous"))]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    thinking = ["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]
    assert names == ["message_start", "ping", *thinking, *block, *block, "message_delta", "message_stop"]
