"""Shown a finding and given a tool to read it, the analyst reads before it judges, by a rule that is fixed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.simulated import MODEL
from tests.unit.test_simulator_dependencies import fenced

from backcast_simulator.answers import answerer_named
from backcast_simulator.replies import Reply, reply

TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("read_file", "search")]
EVAL = "    return eval(text)"


def asked(path: str, *brought: tuple[str, str], **params: Any) -> dict[str, Any]:
    finding = {"category": "security", "line_start": 30, "line_end": 30, "evidence": EVAL}
    shown = f'Is it true?\n\n<finding-0123456789ab path="{path}">\n{json.dumps(finding)}\n</finding-0123456789ab>'
    messages: list[dict[str, Any]] = [{"role": "user", "content": shown}]
    for number, (tool, content) in enumerate(brought):
        use = {"type": "tool_use", "id": f"t{number}", "name": tool, "input": {}}
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": content}
        messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    return {"model": MODEL, "max_tokens": 4000, "tools": TOOLS, "messages": messages, **params}


def answered(path: str, *brought: tuple[str, str], **params: Any) -> Reply:
    return reply(asked(path, *brought, **params), None, answerer_named("analyst"))


READ = ("read_file", fenced("read_file", '"a.py", lines 28 to 31 of 90.', "29| def evaluated(text):", f"30| {EVAL}"))
SEARCHED = ("search", fenced("search", "0 lines in 3 files searched."))


def test_the_passage_is_read_its_function_is_searched_for_and_then_comes_a_verdict() -> None:
    first = answered("eval0.py")
    assert first.tool is not None
    assert (first.stop_reason, first.tool.name) == ("tool_use", "read_file")
    assert first.tool.input == {"path": "eval0.py", "first_line": 10, "last_line": 50}
    second = answered("eval0.py", READ)
    assert second.tool is not None
    assert (second.tool.name, second.tool.input) == ("search", {"pattern": "evaluated"})
    third = answered("eval0.py", READ, SEARCHED)
    assert (third.tool, third.stop_reason) == (None, "end_turn")
    told = json.loads(third.text)
    assert "No model was asked." in told["reason"]
    assert told["evidence"] == [{"path": "eval0.py", "line_start": 30, "line_end": 30, "quote": EVAL}]


@pytest.mark.parametrize(
    ("path", "verdict"), [("eval0.py", "verified"), ("eval1.py", "refuted"), ("eval3.py", "unclear")]
)
def test_verdicts_come_in_shares_the_same_for_the_same_finding(path: str, verdict: str) -> None:
    assert json.loads(answered(path, READ, SEARCHED).text)["verdict"] == verdict


@pytest.mark.parametrize("content", ["", fenced("read_file", "29| x = 1"), f"30| {EVAL}"])
def test_what_was_not_read_is_not_judged(content: str) -> None:
    told = json.loads(answered("eval0.py", ("read_file", content), SEARCHED).text)
    assert (told["verdict"], told["evidence"]) == ("unclear", [])


def test_nothing_is_called_where_no_tool_may_be_or_none_is_given() -> None:
    assert answered("eval0.py", tool_choice={"type": "none"}).tool is None
    assert answered("eval0.py", tools=TOOLS[1:]).tool is None
    only_reads = answered("eval0.py", READ, tools=TOOLS[:1])
    assert json.loads(only_reads.text)["verdict"] == "verified"
