"""Given tools for it, the analyst looks at dependencies before it advises about them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.simulated import MODEL

from backcast_simulator.answers import answerer_named
from backcast_simulator.prompts import input_tokens
from backcast_simulator.replies import Reply, reply

TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("list_versions", "read_file")]
LISTED = [
    {"files": {"a.txt": 2, "b.txt": 1}},
    {"file": "a.txt", "line": 2, "package": "click", "version": None, "wanted": ">=8", "text": "click>=8"},
    {"file": "a.txt", "line": 1, "package": "Foo_Bar", "version": "1.0", "text": "Foo_Bar==1.0"},
    {"file": "b.txt", "line": 1, "package": "foo-bar", "version": "2.0", "text": "foo-bar==2.0"},
]


def fenced(tool: str, *lines: str) -> str:
    body = "\n".join(lines)
    return f"<result-0123456789ab tool={tool}>\n{body}\n</result-0123456789ab>"


def asked(*brought: tuple[str, str], **params: Any) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Advise."}]
    for number, (tool, content) in enumerate(brought):
        use = {"type": "tool_use", "id": f"t{number}", "name": tool, "input": {}}
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": content}
        messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    return {"model": MODEL, "max_tokens": 4000, "tools": TOOLS, "messages": messages, **params}


def answered(*brought: tuple[str, str], **params: Any) -> Reply:
    return reply(asked(*brought, **params), None, answerer_named("analyst"))


VERSIONS = ("list_versions", fenced("list_versions", *map(json.dumps, LISTED)))
READ = ("read_file", fenced("read_file", "1| Foo_Bar==1.0", "2| click>=8"))


def test_tools_are_called_one_after_the_other_and_then_comes_advice() -> None:
    first = answered()
    assert first.tool is not None
    assert (first.text, first.stop_reason, first.tool.name, first.tool.input) == ("", "tool_use", "list_versions", {})
    second = answered(VERSIONS)
    assert second.tool is not None
    assert (second.tool.name, second.tool.input) == ("read_file", {"path": "a.txt"})
    third = answered(VERSIONS, READ)
    assert (third.tool, third.stop_reason) == (None, "end_turn")
    told = json.loads(third.text)
    assert "No model was asked." in told["summary"]
    assert [(one["kind"], one["package"], one["evidence"]) for one in told["advice"]] == [
        ("unpinned", "click", "click>=8"),
        ("conflict", "Foo_Bar", "Foo_Bar==1.0"),
        ("unpinned", "Foo_Bar", "Foo_Bar==1.0"),
    ]


@pytest.mark.parametrize(
    "content", ["", "{}", fenced("list_versions", "no JSON"), "a.txt has click", json.dumps(LISTED[1])]
)
def test_what_is_not_of_the_form_that_the_tool_has_brings_nothing(content: str) -> None:
    told = json.loads(answered(("list_versions", content)).text)
    assert told["advice"] == []


def test_nothing_is_called_where_no_tool_may_be_or_others_are_given() -> None:
    assert answered(tool_choice={"type": "none"}).tool is None
    assert answered(tools=TOOLS[:1]).tool is None
    assert reply(asked(), None, answerer_named("echo")).tool is None


def test_what_tools_bring_is_counted_in_the_prompt() -> None:
    assert input_tokens(asked(VERSIONS)) - input_tokens(asked()) >= len(VERSIONS[1]) / 3.5
