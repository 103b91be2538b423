"""Scripted rules: their format, their conditions, and scripts in files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest
from jsonschema import Draft202012Validator

from backcast_simulator.errors import ApiError
from backcast_simulator.rule_format import OUTCOMES, SCHEMA
from backcast_simulator.rules import Scripted, parse_rules, rule_for, scripted_error, view_of_rule
from backcast_simulator.script_files import ScriptError, read_script

if TYPE_CHECKING:
    from pathlib import Path


def params(text: str = "hello", **changes: Any) -> dict[str, Any]:
    given = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": text}]}
    return {**given, **changes}


def decided(rule: dict[str, Any], request: dict[str, Any], attempt: int = 1) -> bool:
    text = request["messages"][-1]["content"]
    return rule_for(parse_rules([{"outcome": "answer", **rule}]), request, text, attempt) is not None


def test_the_format_is_a_json_schema_that_knows_every_outcome() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert get_args(Scripted) == OUTCOMES


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({}, "rules: a JSON list of rules is expected"),
        ([3], "rules.0: an object is expected"),
        ([{"match": "a"}], "rules.0.outcome: Field required: one of errored, "),
        ([{"outcome": "explodes"}], "rules.0.outcome: one of errored, "),
        ([{"outcome": "answer"}, {"outcome": "answer", "match": 3}], "rules.1.match: a string is expected"),
        ([{"outcome": "answer", "macth": "a"}], "rules.0.macth: Extra inputs are not permitted; write one of match, "),
        ([{"outcome": "answer", "attempts": [0]}], "rules.0.attempts.0: a number of at least 1 is expected"),
        ([{"outcome": "answer", "attempts": 1}], "rules.0.attempts: a list or null is expected"),
        ([{"outcome": "answer", "share": 2}], "rules.0.share: a number of at most 1 is expected"),
        ([{"outcome": "answer", "when": {"prompt": "x"}}], "rules.0.when.prompt: Extra inputs are not permitted; "),
        ([{"outcome": "answer", "when": {"prompt_lacks": 1}}], "rules.0.when.prompt_lacks: a string or a list of"),
        ([{"outcome": "tool_use", "tool": {}}], "rules.0.tool.name: Field required: a string that matches "),
    ],
)
def test_a_bad_rule_is_refused_with_its_place_and_what_to_write(rules: Any, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_rules(rules)
    assert refused.value.status == 400
    assert refused.value.problem.message.startswith(message)


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"prompt_contains": "<example>"}, True),
        ({"prompt_contains": ["<example>", "hello"]}, True),
        ({"prompt_contains": ["<example>", "nowhere"]}, False),
        ({"prompt_lacks": "<example>"}, False),
        ({"prompt_longer_than": 20}, True),
        ({"prompt_longer_than": 2000}, False),
        ({"prompt_at_most": 20}, False),
        ({"max_tokens_below": 101}, True),
        ({"max_tokens_below": 100}, False),
        ({"max_tokens_at_least": 100}, True),
        ({"model": "claude-haiku-4-5"}, False),
        ({"structured": True}, False),
        ({"structured": False, "model": None}, True),
    ],
)
def test_a_rule_may_depend_on_the_prompt_and_the_parameters(when: dict[str, Any], *, holds: bool) -> None:
    request = params("hello", system=[{"type": "text", "text": "Do this as in <example>.</example>"}])
    assert decided({"when": when}, request) is holds


def test_a_condition_is_not_upset_by_wrong_parameters() -> None:
    wrong = {"max_tokens": "many", "messages": [{"content": 3}], "system": {"a": 1}, "output_config": []}
    rules = parse_rules([{"outcome": "answer", "when": {"max_tokens_below": 5, "prompt_contains": "x"}}])
    assert rule_for(rules, wrong, "", 1) is None


def test_a_rule_decides_by_text_and_attempt() -> None:
    assert decided({"match": "ell", "attempts": [2]}, params(), attempt=2)
    assert not decided({"match": "ell", "attempts": [2]}, params(), attempt=1)
    assert not decided({"match": "bye"}, params())


def test_a_rule_with_a_share_holds_for_that_share_and_the_same_messages_each_time() -> None:
    first = [decided({"share": 0.3}, params(f"document {number}")) for number in range(1000)]
    assert first == [decided({"share": 0.3}, params(f"document {number}")) for number in range(1000)]
    assert 230 < sum(first) < 370


def test_rules_come_back_as_they_were_posted() -> None:
    rules = parse_rules(
        [
            {"match": "a", "outcome": "errored", "error_type": "strange_error", "message": "m", "details": {"a": 1}},
            {"outcome": "tool_use", "tool": {"name": "f", "input": {"x": 1}}, "share": 0.5},
            {"outcome": "answer", "text": "t", "thinking": "h", "stop_reason": "odd", "when": {"prompt_lacks": "z"}},
            {"outcome": "unknown_result", "result_type": "vanished", "attempts": [1, 3]},
            {"outcome": "stop_sequence", "stop_sequence": "END", "when": {"structured": False, "max_tokens_below": 9}},
        ]
    )
    assert parse_rules(json.loads(json.dumps([view_of_rule(rule) for rule in rules]))) == rules


def test_an_error_may_have_any_type_message_and_details() -> None:
    (rule,) = parse_rules([{"outcome": "errored", "error_type": "odd_error", "message": "m", "details": {"a": 1}}])
    problem = scripted_error(rule)
    assert problem is not None
    assert problem.envelope(None)["error"] == {"type": "odd_error", "message": "m", "details": {"a": 1}}


def test_a_script_is_read_from_yaml_and_json(tmp_path: Path) -> None:
    yaml_file, json_file = tmp_path / "script.yaml", tmp_path / "script.json"
    yaml_file.write_text("rules:\n- match: a\n  outcome: truncated\n", encoding="utf-8")
    json_file.write_text('[\n\t{"match": "a", "outcome": "truncated"}\n]', encoding="utf-8")
    assert read_script(yaml_file) == read_script(json_file) == parse_rules([{"match": "a", "outcome": "truncated"}])


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("a.yaml", "- match: x\n  outcome: explodes\n", ":2:12: rules.0.outcome: one of errored, "),
        ("b.json", '[\n\t{"match": "x",\n\t "outcom": "answer"}]', ":3:13: rules.0.outcom: Extra inputs"),
        ("c.yaml", "- match: [\n", ":2:1: "),
        ("d.yaml", "- outcome: answer\n  attempts: [1, b]\n", ":2:17: rules.0.attempts.1: an integer is expected"),
        ("e.yaml", "", ": rules: a JSON list of rules is expected"),
        ("f.yaml", "- 2026-99-99\n", ": a value cannot be read: "),
    ],
)
def test_a_mistake_in_a_script_is_reported_with_its_line_and_column(
    tmp_path: Path, name: str, text: str, place: str
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScriptError) as refused:
        read_script(path)
    assert str(refused.value).startswith(f"{path}{place}")


def test_a_script_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="cannot be read"):
        read_script(tmp_path / "none.yaml")
