"""Decides whether a result is an answer: its stop reason is good, its schema holds and its evidence is there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from backcast.domain.failures import Cause, cause_of_error, cause_of_result, cause_of_stop_reason
from backcast.domain.lines import quote_is_at, split_lines
from backcast.domain.records import RECORDS, Text, evidence_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from jsonschema import Draft202012Validator

    from backcast.domain.proposed import ProposedTests

_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?```\s*\Z", re.DOTALL)
_LONGEST_DETAIL = 500
# No answer needs more, and neither JSON schemas nor the ledger's rows can be had of what is hundreds deep.
_DEEPEST = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer as parsed, or the cause for which there is none, with the detail that names it."""

    answer: dict[str, Any] | None
    cause: Cause | None = None
    detail: str = ""

    def row(self) -> tuple[str, Cause | None, str | None]:
        """Return what the ledger keeps of it: verdict, cause, detail."""
        return ("accepted", None, None) if self.answer is not None else ("rejected", self.cause, self.detail)


class Judge:
    """Judges results by one answer schema (JSON text).

    Args:
        answer_schema: the schema.
        proposed: what looks at answers that are files of tests; None where they are something else.
    """

    def __init__(self, answer_schema: str, proposed: ProposedTests | None = None) -> None:
        self._schema = orjson.loads(answer_schema)
        self._validator = validator_of(self._schema)
        self._proposed = proposed

    def verdict(self, result: dict[str, Any], document: str, path: str = "") -> Verdict:
        """Judge a result row's `result` against the document it is about, and where that lies."""
        return judged(result, lambda message: self._judge_message(message, document, path))

    def _judge_message(self, message: dict[str, Any], document: str, path: str) -> Verdict:
        stop_reason = message.get("stop_reason")
        cause = cause_of_stop_reason(stop_reason)
        if cause is not None:
            return rejected(cause, f"stop_reason {stop_reason}")
        try:
            answer = parse_answer(message, self._schema)
        except ValueError as error:
            return rejected(Cause.MALFORMED, f"the answer is not JSON: {error}")
        wrong = next(self._validator.iter_errors(answer), None)
        if wrong is not None:
            return rejected(Cause.MALFORMED, f"{wrong.json_path}: {wrong.message}")
        if not isinstance(answer, dict):
            # Some schemas forget to say so.
            return rejected(Cause.MALFORMED, "$: the answer is no JSON object")
        return self._judge_content(answer, document, path)

    def _judge_content(self, answer: dict[str, Any], document: str, path: str) -> Verdict:
        if unsupported := _unsupported_claim(answer, document) or _unsupported_record(answer, document):
            return rejected(Cause.UNSUPPORTED_CLAIM, unsupported)
        if failed := self._proposed.failed_check(answer, path) if self._proposed else None:
            return rejected(Cause.FAILED_CHECK, failed)
        return Verdict(answer)


def validator_of(schema: Any) -> Draft202012Validator:  # noqa: ANN401  any JSON
    """Return what checks JSON against a schema."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415  a tenth of a second, which not every command needs

    return Draft202012Validator(schema)


def judged(result: dict[str, Any], judge_message: Callable[[dict[str, Any]], Verdict]) -> Verdict:
    """Judge a result row's `result`: a message by the function given, whatever else there is by its type."""
    match result.get("type"):
        case "succeeded":
            return judge_message(result.get("message") or {})
        case "errored":
            inner = (result.get("error") or {}).get("error") or {}
            error_type, message = str(inner.get("type", "")), str(inner.get("message", ""))
            return rejected(cause_of_error(error_type, message), f"{error_type}: {message}")
        case other:
            return rejected(cause_of_result(str(other)), str(other))


def parse_answer(message: dict[str, Any], schema: Any, *, exact: bool = False) -> Any:  # noqa: ANN401  any JSON
    """Return the JSON that a message's text holds; thinking and other blocks are passed over.

    An `exact` one has integers of more than 64 bits as they stand, which are rounded otherwise.

    Values of an enum are taken whatever their casing is, which the API does not guarantee; they get the schema's.

    Raises:
        ValueError: there is no JSON, or it is nested too deeply.
    """
    text = "".join(block.get("text", "") for block in message.get("content", []) if block.get("type") == "text")
    fenced = _FENCED.match(text)
    content = fenced.group(1) if fenced else text
    answer = orjson.loads(content)
    if not _is_deep_at_most(answer, _DEEPEST):
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    # Not in place of the first, which takes nothing that is no JSON.
    return _with_exact_enums(json.loads(content) if exact else answer, schema)


def _is_deep_at_most(value: Any, levels: int) -> bool:  # noqa: ANN401  any JSON
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels >= 0 and all(_is_deep_at_most(one, levels - 1) for one in inner)


def _with_exact_enums(value: Any, schema: Any) -> Any:  # noqa: ANN401  as above
    match value, schema:
        case str(), {"enum": [*choices]}:
            return next((choice for choice in choices if str(choice).lower() == value.lower()), value)
        case list(), {"items": items}:
            return [_with_exact_enums(item, items) for item in value]
        case dict(), {"properties": properties}:
            return {name: _with_exact_enums(item, properties.get(name)) for name, item in value.items()}
    return value


def _unsupported_claim(answer: dict[str, Any], document: str) -> str | None:
    lines = split_lines(document)
    for number, finding in enumerate(answer.get("findings", []), 1):
        start, end = finding["line_start"], finding["line_end"]
        if not quote_is_at(lines, finding["evidence"], start, end):
            return f"finding {number} quotes what is not in lines {start} to {end}"
    return None


def _unsupported_record(answer: dict[str, Any], document: str) -> str | None:
    records = answer.get(RECORDS) or ()
    text = Text(document) if records else None
    for number, record in enumerate(records, 1):
        for quote in evidence_in(record):
            if text and text.look_for(quote) == "not there":
                return f"record {number} quotes what is not in the document: {quote}"
    return None


def rejected(cause: Cause, detail: str) -> Verdict:
    """Return the verdict that there is no answer, and why."""
    return Verdict(None, cause, detail[:_LONGEST_DETAIL].replace("\0", " "))
