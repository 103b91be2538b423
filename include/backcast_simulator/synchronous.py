"""The synchronous API: one message answered at once, whole or streamed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backcast_simulator.bill import Charge, synchronous_charge
from backcast_simulator.errors import ApiError, Problem, of_type
from backcast_simulator.json_bodies import parse_whole_object
from backcast_simulator.messages import message
from backcast_simulator.prompts import input_tokens
from backcast_simulator.replies import reply
from backcast_simulator.rules import Rule, scripted_error
from backcast_simulator.validation import params_problem, prompt_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from backcast_simulator.answers import Answerer
    from backcast_simulator.catalogue import CachedTokens
    from backcast_simulator.structured import EnumCasing


@dataclass(frozen=True, slots=True)
class Answered:
    """A message, what it is charged at, and whether the caller wants it streamed."""

    message: dict[str, Any]
    charge: Charge
    streamed: bool


def accepted(body: bytes | bytearray, version: str) -> dict[str, Any]:
    """The parameters of a message; an error of the API when there is something wrong with them."""
    params = parse_whole_object(body)
    raise_problem(params_problem(params, version))
    return params


def answered(
    params: dict[str, Any],
    rule: Rule | None,
    answerer: Answerer,
    use_cache: Callable[[], CachedTokens],
    casing: EnumCasing = "exact",
) -> Answered:
    """Answer accepted parameters in the way the rule says; the cache is used only if there is an answer."""
    raise_problem(_synchronous_error(rule))
    answer = reply(params, rule, answerer, casing)
    cached = use_cache()
    return Answered(
        message(params, answer, (secrets.token_hex(12),), "synchronous", cached),
        synchronous_charge(params, answer, cached),
        streamed=params.get("stream") is True,
    )


def counted(body: bytes | bytearray, version: str) -> int:
    """The length of a prompt in tokens."""
    params = parse_whole_object(body)
    raise_problem(prompt_problem(params, version))
    return input_tokens(params)


def raise_problem(problem: Problem | None) -> None:
    """Raise it as an error of the API, if there is one."""
    if problem is not None:
        raise ApiError(problem)


def _synchronous_error(rule: Rule | None) -> Problem | None:
    if rule is None:
        return None
    return of_type("timeout_error") if rule.outcome == "expired" else scripted_error(rule)
