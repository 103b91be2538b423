"""Why a request gave no acceptable answer, and what is changed before it is sent again.

The texts and types are the API's own. What is unknown falls to the safe side: it is not sent again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum


class Cause(StrEnum):
    """Why a request gave no acceptable answer."""

    TOO_LONG = "too_long"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    UNSUPPORTED_CLAIM = "unsupported_claim"
    FAILED_CHECK = "failed_check"
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
    WORKED_EXAMPLE = "worked_example"
    SIMPLIFIED_PROMPT = "simplified_prompt"
    REPAIR = "repair"
    SPLIT = "split"
    CONTINUE = "continue"
    GIVE_UP = "give_up"


class Variant(StrEnum):
    """Which form of its workflow's prompt a request is sent with.

    To be repaired is an answer that is shown again, with what is wrong with it: where requests bring their own
    parameters, and where answers are checked as files of tests.
    """

    STANDARD = "standard"
    WORKED_EXAMPLE = "worked_example"
    SIMPLIFIED = "simplified"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class Tried:
    """What a lineage has tried.

    Attributes:
        attempts: how many of its requests failed for a reason that neither passes by itself nor is done away with by
            splitting.
        max_tokens: what the last one was sent with.
        variant: the form of the prompt that the last one was sent with.
        variants: all forms that were tried.
        splits: in how many steps the part that it is about was split off; 0 for a whole document.
    """

    attempts: int
    max_tokens: int
    variant: Variant = Variant.STANDARD
    variants: frozenset[Variant] = frozenset({Variant.STANDARD})
    splits: int = 0


@dataclass(frozen=True, slots=True)
class Means:
    """What there is to change: the most output tokens that the model gives, and the forms that the prompt has."""

    model_limit: int
    variants: frozenset[Variant] = frozenset({Variant.STANDARD})


# What a person must look at when it was given up: the same would fail again, and be paid for again.
REVIEWED = frozenset(
    {
        Cause.TOO_LONG,
        Cause.TRUNCATED,
        Cause.MALFORMED,
        Cause.UNSUPPORTED_CLAIM,
        Cause.FAILED_CHECK,
        Cause.REFUSED,
        Cause.WANTS_TOOLS,
        Cause.PAUSED,
    }
)


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """A remedy, and the `max_tokens` and the form of the prompt it sends with."""

    remedy: Remedy
    max_tokens: int
    variant: Variant = Variant.STANDARD


MAX_ATTEMPTS = 3
MAX_SPLITS = 2
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
# What is tried when an answer is not acceptable as it is, in this order.
_OTHER_FORMS: dict[Cause, tuple[Variant, ...]] = {
    Cause.MALFORMED: (Variant.REPAIR, Variant.WORKED_EXAMPLE, Variant.SIMPLIFIED),
    Cause.UNSUPPORTED_CLAIM: (Variant.SIMPLIFIED,),
    Cause.FAILED_CHECK: (Variant.REPAIR,),
    Cause.REFUSED: (Variant.SIMPLIFIED,),
}
_REMEDY_OF_FORM = {
    Variant.WORKED_EXAMPLE: Remedy.WORKED_EXAMPLE,
    Variant.SIMPLIFIED: Remedy.SIMPLIFIED_PROMPT,
    Variant.REPAIR: Remedy.REPAIR,
}
_GOES_ON = {Cause.PASSING: Remedy.SAME_AGAIN, Cause.PAUSED: Remedy.CONTINUE}
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


def next_attempt(cause: Cause, detail: str, tried: Tried, means: Means) -> NextAttempt:
    """Decide how a failed request goes on.

    Args:
        cause: why it failed.
        detail: the API's own text, where it had one.
        tried: what its lineage has tried, this request included.
        means: what there is to change.
    """
    same = NextAttempt(Remedy.SAME_AGAIN, tried.max_tokens, tried.variant)
    give_up = replace(same, remedy=Remedy.GIVE_UP)
    if tried.attempts >= MAX_ATTEMPTS:
        return give_up
    match cause:
        case Cause.PASSING | Cause.PAUSED:
            return replace(same, remedy=_GOES_ON[cause])
        case Cause.TRUNCATED if tried.max_tokens < means.model_limit and not _splits_at_last(tried):
            most = min(2 * tried.max_tokens, means.model_limit)
            return replace(same, remedy=Remedy.MORE_MAX_TOKENS, max_tokens=most)
        case Cause.TOO_LONG | Cause.TRUNCATED if tried.splits < MAX_SPLITS:
            return replace(same, remedy=Remedy.SPLIT)
        case Cause.LIMIT_TOO_HIGH:
            limit = _limit(detail, means.model_limit)
            fits = 0 < limit < tried.max_tokens
            return replace(same, remedy=Remedy.CLAMP_MAX_TOKENS, max_tokens=limit) if fits else give_up
        case _:
            return _in_another_form(cause, tried, means) or give_up


def _splits_at_last(tried: Tried) -> bool:
    # Twice as much was not enough: half a document each is worth more than four times as much.
    return tried.attempts == MAX_ATTEMPTS - 1 and tried.splits < MAX_SPLITS


def _in_another_form(cause: Cause, tried: Tried, means: Means) -> NextAttempt | None:
    # What is to be mended is another answer each time, with another error.
    tried_in_vain = tried.variants - {Variant.REPAIR} if cause is Cause.FAILED_CHECK else tried.variants
    for variant in _OTHER_FORMS.get(cause, ()):
        if variant in means.variants - tried_in_vain:
            return NextAttempt(_REMEDY_OF_FORM[variant], tried.max_tokens, variant)
    return None


def _limit(detail: str, model_limit: int) -> int:
    match = _LIMIT_TOO_HIGH.search(detail)
    return int(match.group(1)) if match else model_limit
