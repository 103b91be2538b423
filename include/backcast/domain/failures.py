"""Why a request gave no acceptable answer, and what is changed before it is sent again.

The texts and types are the API's own. What is unknown falls to the safe side: it is not sent again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why a request gave no acceptable answer."""

    TOO_LONG = "too_long"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    UNSUPPORTED_CLAIM = "unsupported_claim"
    REFUSED = "refused"
    WANTS_TOOLS = "wants_tools"
    PAUSED = "paused"
    PASSING = "passing"
    LIMIT_TOO_HIGH = "limit_too_high"
    OUR_FAULT = "our_fault"
    NO_ACCESS = "no_access"


class Remedy(StrEnum):
    """What is changed before a request is sent again; `GIVE_UP` lists the document as unanswered."""

    SAME_AGAIN = "same_again"
    MORE_MAX_TOKENS = "more_max_tokens"
    CLAMP_MAX_TOKENS = "clamp_max_tokens"
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """A remedy and the `max_tokens` it sends with."""

    remedy: Remedy
    max_tokens: int


MAX_ATTEMPTS = 3
_PASSING_ERRORS = frozenset({"api_error", "overloaded_error", "timeout_error", "rate_limit_error"})
_NO_ACCESS_ERRORS = frozenset({"authentication_error", "billing_error", "permission_error"})
_PASSING_RESULTS = frozenset({"expired", "canceled", "missing"})
_STOP_REASONS = {
    "max_tokens": Cause.TRUNCATED,
    "model_context_window_exceeded": Cause.TOO_LONG,
    "refusal": Cause.REFUSED,
    "tool_use": Cause.WANTS_TOOLS,
    "pause_turn": Cause.PAUSED,
}
_GOOD_STOP_REASONS = frozenset({"end_turn", "stop_sequence"})
_LIMIT_TOO_HIGH = re.compile(r"max_tokens: \d+ > (\d+)")


def cause_of_stop_reason(stop_reason: str | None) -> Cause | None:
    """Return None for a stop reason that lets an answer stand, else its cause."""
    if stop_reason in _GOOD_STOP_REASONS:
        return None
    return _STOP_REASONS.get(stop_reason or "", Cause.MALFORMED)


def cause_of_error(error_type: str, message: str) -> Cause:
    """Return the cause of an `errored` row from its inner error type, reading the text only to refine it."""
    if error_type in _PASSING_ERRORS:
        return Cause.PASSING
    if error_type in _NO_ACCESS_ERRORS or "usage limits" in message:
        return Cause.NO_ACCESS
    if "prompt is too long" in message:
        return Cause.TOO_LONG
    if _LIMIT_TOO_HIGH.search(message):
        return Cause.LIMIT_TOO_HIGH
    return Cause.OUR_FAULT


def cause_of_result(result_type: str) -> Cause:
    """Return the cause of a row that carries neither an answer nor an error."""
    return Cause.PASSING if result_type in _PASSING_RESULTS else Cause.OUR_FAULT


def next_attempt(cause: Cause, detail: str, *, attempts: int, max_tokens: int, model_limit: int) -> NextAttempt:
    """Decide how a failed request goes on.

    Args:
        cause: why it failed.
        detail: the API's own text, where it had one.
        attempts: how many requests its lineage has had, this one included.
        max_tokens: what it was sent with.
        model_limit: the most output tokens that the model gives.
    """
    give_up = NextAttempt(Remedy.GIVE_UP, max_tokens)
    if attempts >= MAX_ATTEMPTS:
        return give_up
    match cause:
        case Cause.PASSING:
            return NextAttempt(Remedy.SAME_AGAIN, max_tokens)
        case Cause.TRUNCATED if max_tokens < model_limit:
            return NextAttempt(Remedy.MORE_MAX_TOKENS, min(2 * max_tokens, model_limit))
        case Cause.LIMIT_TOO_HIGH:
            return _clamped(detail, model_limit, max_tokens) or give_up
        case _:
            return give_up


def _clamped(detail: str, model_limit: int, max_tokens: int) -> NextAttempt | None:
    match = _LIMIT_TOO_HIGH.search(detail)
    limit = int(match.group(1)) if match else model_limit
    return NextAttempt(Remedy.CLAMP_MAX_TOKENS, limit) if 0 < limit < max_tokens else None
