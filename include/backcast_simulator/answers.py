"""Who writes answers: the offline analyst, or an echo."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, Protocol

import orjson

from backcast_simulator import finding_checks
from backcast_simulator.analyst import analyse
from backcast_simulator.answer_shape import AnswerShape, shape_of
from backcast_simulator.dependencies import advise, is_about_dependencies, next_tool
from backcast_simulator.extraction import extract
from backcast_simulator.messages import message
from backcast_simulator.prompts import document_asked_about, last_user_text, told_what_was_wrong
from backcast_simulator.proposals import propose
from backcast_simulator.python_tests import FAULTY_SHARE, answer_with_tests
from backcast_simulator.refinements import refinement_in
from backcast_simulator.replies import Reply, ToolCall, reply

__all__ = ["AnalystAnswerer", "Answerer", "EchoAnswerer", "Reply", "answerer_named", "message", "reply"]

_REMEMBERED_ANSWERS = 4096
_ECHOED_CHARACTERS = 400


class Answerer(Protocol):
    """Writes the text of an answer; pure, so the same parameters give the same text."""

    def answer(self, params: dict[str, Any]) -> str:
        """The answer's whole text, however long `max_tokens` allows it to be."""
        ...

    def tool(self, params: dict[str, Any]) -> ToolCall | None:
        """The tool that it wants to be called before it answers."""
        ...


class EchoAnswerer:
    """Answers with the beginning of the last user message."""

    def answer(self, params: dict[str, Any]) -> str:
        """A line that says who answers, and up to 400 characters of the message."""
        return f"No model was asked. The message began:\n{last_user_text(params)[:_ECHOED_CHARACTERS]}"

    def tool(self, params: dict[str, Any]) -> ToolCall | None:  # noqa: ARG002  as an answerer has it
        """None: it needs nothing."""
        return None


class AnalystAnswerer:
    """Answers with a static analysis of the document in the prompt; echoes when there is none.

    Asked for the next version of a prompt, it proposes one. Given a finding and the tools to check it, or those that
    advice on dependencies takes, it calls them and answers from what they bring. Of the first answers that are tests a
    share is faulty.
    """

    def __init__(self, faulty_tests: float = FAULTY_SHARE) -> None:
        self._faulty_tests = faulty_tests
        self._analyse = lru_cache(maxsize=_REMEMBERED_ANSWERS)(_analysis_json)
        self._echo = EchoAnswerer()

    def answer(self, params: dict[str, Any]) -> str:
        """The findings, or the records or tests that are asked for, as JSON; the proposal, verdict, or advice."""
        if finding_checks.is_about_a_finding(params):
            return finding_checks.check(params)
        if is_about_dependencies(params):
            return advise(params)
        refinement = refinement_in(params)
        if refinement is not None:
            return propose(refinement)
        document = document_asked_about(params)
        if document is None:
            return self._echo.answer(params)
        shape = shape_of(params)
        if shape.tests:
            wrong = told_what_was_wrong(params)
            return orjson.dumps(answer_with_tests(document.path, document.text, wrong, self._faulty_tests)).decode()
        return self._analyse(document.path, document.language, document.text, document.numbers, shape)

    def tool(self, params: dict[str, Any]) -> ToolCall | None:
        """What a check of a finding, or advice on dependencies, still needs."""
        checked = finding_checks.is_about_a_finding(params)
        wanted = finding_checks.next_tool(params) if checked else next_tool(params)
        return None if wanted is None else ToolCall(*wanted)


def _analysis_json(path: str, language: str, text: str, numbers: tuple[int, ...], shape: AnswerShape) -> str:
    if shape.record is not None:
        records, unreadable = extract(language, text)
        taken = [record for record in records if shape.takes(record)]
        return orjson.dumps({"records": taken, "unreadable": unreadable}).decode()
    findings = analyse(path, language, text, shape)
    for finding in findings if numbers else ():
        finding.update({name: numbers[finding[name] - 1] for name in ("line_start", "line_end") if name in finding})
    return orjson.dumps({"findings": findings}).decode()


def answerer_named(name: Literal["analyst", "echo"], faulty_tests: float = FAULTY_SHARE) -> Answerer:
    """The answerer with this name; an analyst gives so many faulty tests at first."""
    return EchoAnswerer() if name == "echo" else AnalystAnswerer(faulty_tests)
