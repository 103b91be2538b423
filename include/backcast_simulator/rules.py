"""Scripted rules: which requests they decide about, and what they say. `rule_format` describes their format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from jsonschema import Draft202012Validator

from backcast_simulator.chance import draw
from backcast_simulator.errors import Problem, invalid, of_type
from backcast_simulator.prompts import sha256_of_text, whole_text
from backcast_simulator.rule_format import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jsonschema import ValidationError

Scripted = Literal[
    "errored",
    "expired",
    "truncated",
    "refusal",
    "malformed",
    "invalid_request",
    "answer",
    "unsupported",
    "tool_use",
    "pause_turn",
    "stop_sequence",
    "model_context_window_exceeded",
    "unknown_result",
]

_VALIDATOR = Draft202012Validator(SCHEMA)
_NAMES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


class RuleError(ValueError):
    """A rule that is not in the format; `path` leads to the mistake, from the list of rules on."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(f"{'.'.join(('rules', *map(str, path)))}: {message}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold of a whole request: of its system prompt and messages, and of its parameters."""

    prompt_contains: tuple[str, ...] = ()
    prompt_lacks: tuple[str, ...] = ()
    prompt_longer_than: int | None = None
    prompt_at_most: int | None = None
    max_tokens_below: int | None = None
    max_tokens_at_least: int | None = None
    model: str | None = None
    structured: bool | None = None

    def hold(self, params: dict[str, Any]) -> bool:
        """Whether all of them hold of these parameters, which may be wrong in any way."""
        return self._parameters_fit(params) and self._prompt_fits(params)

    def _parameters_fit(self, params: dict[str, Any]) -> bool:
        config = params.get("output_config")
        structured = isinstance(config, dict) and bool(config.get("format"))
        return (
            self.model in (None, params.get("model"))
            and self.structured in (None, structured)
            and _within(params.get("max_tokens"), self.max_tokens_at_least, self.max_tokens_below)
        )

    def _prompt_fits(self, params: dict[str, Any]) -> bool:
        if self == Conditions():
            return True
        prompt = whole_text(params)
        longest = None if self.prompt_at_most is None else self.prompt_at_most + 1
        shortest = None if self.prompt_longer_than is None else self.prompt_longer_than + 1
        return (
            all(text in prompt for text in self.prompt_contains)
            and not any(text in prompt for text in self.prompt_lacks)
            and _within(len(prompt), shortest, longest)
        )


def _within(value: object, at_least: int | None, below: int | None) -> bool:
    if at_least is None and below is None:
        return True
    if not isinstance(value, int):
        return False
    return (at_least is None or value >= at_least) and (below is None or value < below)


@dataclass(frozen=True, slots=True)
class Rule:
    """Decides the outcome of requests whose last user message contains `match`, if its conditions hold.

    `attempts` are the times, counted from 1, that a message with the very same text has come in; None is any.
    `share` is the share of such messages that it holds for.
    """

    match: str
    outcome: Scripted
    attempts: frozenset[int] | None = None
    error_type: str = "api_error"
    text: str | None = None
    when: Conditions = Conditions()
    share: float = 1.0
    message: str | None = None
    details: dict[str, Any] | None = field(default=None, hash=False)
    thinking: str | None = None
    tool: dict[str, Any] | None = field(default=None, hash=False)
    stop_reason: str | None = None
    stop_sequence: str | None = None
    result_type: str = "deferred"

    def applies(self, params: dict[str, Any], text: str, attempt: int) -> bool:
        """Whether this rule decides about the `attempt`-th request with this last user message."""
        return (
            self.match in text
            and (self.attempts is None or attempt in self.attempts)
            and self.when.hold(params)
            and (self.share >= 1 or draw("rule", self.match, self.outcome, sha256_of_text(text)) < self.share)
        )


def rule_for(rules: Iterable[Rule], params: dict[str, Any], text: str, attempt: int) -> Rule | None:
    """The first rule that applies to the `attempt`-th request with this last user message."""
    return next((rule for rule in rules if rule.applies(params, text, attempt)), None)


def read_rules(body: object) -> list[Rule]:
    """The rules in a JSON value; raises RuleError for the first mistake."""
    problem = next(iter(_VALIDATOR.iter_errors(body)), None)
    if problem is not None:
        raise _rule_error(problem)
    return [_rule(entry) for entry in body] if isinstance(body, list) else []


def parse_rules(body: object) -> list[Rule]:
    """The rules in the body of `POST /simulator/rules`; a 400 that names the first mistake and what to write."""
    try:
        return read_rules(body)
    except RuleError as error:
        raise invalid(str(error)) from None


def _rule_error(problem: ValidationError) -> RuleError:
    path = tuple(problem.absolute_path)
    schema = problem.schema if isinstance(problem.schema, dict) else {}
    if problem.validator == "additionalProperties" and isinstance(problem.instance, dict):
        known = list(schema["properties"])
        extra = next(name for name in problem.instance if name not in known)
        return RuleError((*path, extra), f"Extra inputs are not permitted; write one of {', '.join(known)}")
    if problem.validator == "required" and isinstance(problem.instance, dict):
        missing = next(name for name in schema["required"] if name not in problem.instance)
        return RuleError((*path, missing), f"Field required: {_expected(schema['properties'][missing])}")
    if problem.validator in ("type", "enum", "anyOf", "pattern"):
        return RuleError(path, _expected(schema))
    bound = "at least" if problem.validator == "minimum" else "at most"
    return RuleError(path, f"a number of {bound} {problem.validator_value} is expected")


def _expected(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])} is expected"
    if "x-expected" in schema:
        return f"{schema['x-expected']} is expected"
    if schema is SCHEMA:
        return "a JSON list of rules is expected"
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    pattern = f" that matches {schema['pattern']}" if "pattern" in schema else ""
    return f"{' or '.join(_NAMES[name] for name in types)}{pattern} is expected"


def _rule(entry: dict[str, Any]) -> Rule:
    given = {name: value for name, value in entry.items() if value is not None}
    if not given.get("error_type"):
        given.pop("error_type", None)
    if "attempts" in given:
        given["attempts"] = frozenset(given["attempts"])
    if "when" in given:
        given["when"] = _conditions(given["when"])
    return Rule(**{"match": "", **given})


def _conditions(when: dict[str, Any]) -> Conditions:
    given = {name: value for name, value in when.items() if value is not None}
    for name in {"prompt_contains", "prompt_lacks"} & set(given):
        given[name] = (given[name],) if isinstance(given[name], str) else tuple(given[name])
    return Conditions(**given)


def view_of_rule(rule: Rule) -> dict[str, Any]:
    """The rule as JSON, in the shape it is posted in; what was left out comes with its default or not at all."""
    view: dict[str, Any] = {
        "match": rule.match,
        "attempts": None if rule.attempts is None else sorted(rule.attempts),
        "outcome": rule.outcome,
        "error_type": rule.error_type,
        "text": rule.text,
    }
    for name in ("message", "details", "thinking", "tool", "stop_reason", "stop_sequence"):
        if getattr(rule, name) is not None:
            view[name] = getattr(rule, name)
    if rule.share < 1:
        view["share"] = rule.share
    if rule.outcome == "unknown_result":
        view["result_type"] = rule.result_type
    if rule.when != Conditions():
        view["when"] = _view_of_conditions(rule.when)
    return view


def _view_of_conditions(when: Conditions) -> dict[str, Any]:
    values = {name: getattr(when, name) for name in Conditions.__slots__}
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return {name: value for name, value in lists.items() if value not in (None, [])}


def scripted_error(rule: Rule) -> Problem | None:
    """The error that a rule asks for, or None when it asks for something else."""
    if rule.outcome == "errored":
        known = of_type(rule.error_type)
        return Problem(rule.error_type, rule.message or known.message, rule.details)
    if rule.outcome == "invalid_request":
        text = rule.message or rule.text or "messages.0.content: Input could not be processed"
        return Problem("invalid_request_error", text)
    if rule.outcome == "unknown_result":
        return of_type("api_error")
    return None
