"""Requests that bring their own parameters: what of them is sent, and whether what came back is an answer."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from backcast.domain.failures import Cause, Variant, cause_of_stop_reason
from backcast.domain.request_lines import schema_of
from backcast.services.acceptance import Verdict, judged, parse_answer, rejected, validator_of

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

    from backcast.ledger.connection import Row

_MENTIONS_SCHEMA = '"output_config"'


def own_params(row: Row) -> bytes:
    """Return the JSON of a request's `params`, as a row of `requests_to_send` tells it: its own, but for its remedy."""
    body: str = row["body"]
    if row["variant"] == Variant.STANDARD and row["max_tokens"] == row["own_max_tokens"] and not row["paused"]:
        return body.encode()
    params = {**orjson.loads(body), "max_tokens": row["max_tokens"]}
    turns = [{"role": "assistant", "content": content} for content in row["paused"] or () if content]
    if row["variant"] == Variant.REPAIR:
        turns = [*_repair(row["malformed"], schema_of(params)), *turns]
    return orjson.dumps({**params, "messages": [*params["messages"], *turns]})


def _repair(malformed: Row, schema: object) -> list[dict[str, Any]]:
    asked = (
        f"That answer does not fit the JSON schema: {malformed['why']}. Answer once more, with JSON that fits it and "
        f"nothing else. The schema: {orjson.dumps(schema).decode()}"
    )
    earlier = [{"role": "assistant", "content": malformed["content"]}] if malformed["content"] else []
    return [*earlier, {"role": "user", "content": asked}]


def own_verdict(result: dict[str, Any], body: str) -> Verdict:
    """Judge a result row's `result`: its stop reason must be good, and the schema hold that its request brought.

    A call of a tool is an answer: only who allowed it sends requests with tools that nobody runs.
    """
    return judged(result, lambda message: _judge(message, body))


def _judge(message: dict[str, Any], body: str) -> Verdict:
    stop_reason = message.get("stop_reason")
    cause = cause_of_stop_reason(stop_reason)
    if cause is Cause.WANTS_TOOLS:
        return Verdict({})
    if cause is not None:
        return rejected(cause, f"stop_reason {stop_reason}")
    # Most have none, and need not be read for it.
    schema = schema_of(orjson.loads(body)) if _MENTIONS_SCHEMA in body else None
    if schema is None:
        return Verdict({})
    try:
        answer = parse_answer(message, schema)
    except ValueError as error:
        return rejected(Cause.MALFORMED, f"the answer is not JSON: {error}")
    wrong = next(_validator(orjson.dumps(schema)).iter_errors(answer), None)
    return Verdict({}) if wrong is None else rejected(Cause.MALFORMED, f"{wrong.json_path}: {wrong.message}")


@lru_cache(maxsize=100)
def _validator(schema: bytes) -> Draft202012Validator:
    return validator_of(orjson.loads(schema))
