"""A succeeded row is believed only when its stop reason, its schema and its evidence hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backcast.domain.failures import Cause
from backcast.services.acceptance import Judge
from backcast.settings import load_prompt

DOCUMENT = "def f():\n    return 1\n"
FINDING = {
    "title": "f",
    "category": "design",
    "severity": "low",
    "effort": "minutes",
    "line_start": 1,
    "line_end": 2,
    "evidence": "    return 1",
    "why": "because",
    "suggestion": "do",
}


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(load_prompt("nightly_tech_debt", "v1").answer_schema)


def message(text: str, stop_reason: str = "end_turn") -> dict[str, Any]:
    content = [{"type": "thinking", "thinking": "…"}, {"type": "text", "text": text}]
    return {"type": "succeeded", "message": {"content": content, "stop_reason": stop_reason}}


def answer(**changes: Any) -> str:
    return json.dumps({"findings": [{**FINDING, **changes}]})


@pytest.mark.parametrize("text", [answer(), '{"findings": []}', f"```json\n{answer()}\n```", f"\n{answer()}\n"])
def test_an_answer_that_holds_is_accepted(judge: Judge, text: str) -> None:
    verdict = judge.verdict(message(text), DOCUMENT)
    assert verdict.cause is None
    assert verdict.answer is not None


@pytest.mark.parametrize(
    ("result", "cause", "detail"),
    [
        (message(answer(), "max_tokens"), Cause.TRUNCATED, "stop_reason max_tokens"),
        (message("no JSON"), Cause.MALFORMED, "not JSON"),
        (message("[]"), Cause.MALFORMED, "not of type 'object'"),
        (message(answer(severity="grave")), Cause.MALFORMED, "$.findings[0].severity"),
        (message(answer(extra=1)), Cause.MALFORMED, "extra"),
        (message(answer(evidence="return 2")), Cause.UNSUPPORTED_CLAIM, "finding 1"),
        (message(answer(line_end=9)), Cause.UNSUPPORTED_CLAIM, "lines 1 to 9"),
        ({"type": "succeeded"}, Cause.MALFORMED, "None"),
        ({"type": "expired"}, Cause.PASSING, "expired"),
        (
            {"type": "errored", "error": {"type": "error", "error": {"type": "api_error", "message": "Oops"}}},
            Cause.PASSING,
            "api_error: Oops",
        ),
        ({"type": "errored"}, Cause.OUR_FAULT, ""),
        ({}, Cause.OUR_FAULT, "None"),
    ],
)
def test_anything_else_is_rejected_with_its_cause(
    judge: Judge, result: dict[str, Any], cause: Cause, detail: str
) -> None:
    verdict = judge.verdict(result, DOCUMENT)
    assert verdict.answer is None
    assert verdict.cause is cause
    assert detail in verdict.detail


def test_the_casing_of_an_enum_does_not_count_and_becomes_that_of_the_schema(judge: Judge) -> None:
    verdict = judge.verdict(message(answer(severity="HIGH", category="Design", title="HIGH")), DOCUMENT)
    assert verdict.answer is not None
    [finding] = verdict.answer["findings"]
    assert (finding["severity"], finding["category"], finding["title"]) == ("high", "design", "HIGH")
