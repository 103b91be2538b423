"""Causes and remedies, by the API's own types and texts."""

from __future__ import annotations

import pytest

from backcast.domain.failures import (
    MAX_SPLITS,
    Cause,
    Means,
    NextAttempt,
    Remedy,
    Tried,
    Variant,
    cause_of_error,
    cause_of_result,
    cause_of_stop_reason,
    next_attempt,
)


@pytest.mark.parametrize(
    ("error_type", "message", "cause"),
    [
        ("api_error", "Internal server error", Cause.PASSING),
        ("overloaded_error", "Overloaded", Cause.PASSING),
        ("timeout_error", "Request timed out", Cause.PASSING),
        ("invalid_request_error", "prompt is too long: 219898 tokens > 200000 maximum", Cause.TOO_LONG),
        (
            "invalid_request_error",
            "max_tokens: 128001 > 64000, which is the maximum allowed number of output tokens for claude-haiku-4-5",
            Cause.LIMIT_TOO_HIGH,
        ),
        ("invalid_request_error", "messages: Field required", Cause.OUR_FAULT),
        ("not_found_error", "model: claude-nonesuch", Cause.OUR_FAULT),
        ("authentication_error", "invalid x-api-key", Cause.NO_ACCESS),
        ("billing_error", "Your credit balance is too low", Cause.NO_ACCESS),
        ("invalid_request_error", "You have reached your specified API usage limits.", Cause.NO_ACCESS),
        ("an_error_of_next_year", "whatever", Cause.OUR_FAULT),
    ],
)
def test_an_errored_row_has_the_cause_that_its_inner_type_and_text_name(
    error_type: str, message: str, cause: Cause
) -> None:
    assert cause_of_error(error_type, message) is cause


@pytest.mark.parametrize(
    ("stop_reason", "cause"),
    [
        ("end_turn", None),
        ("stop_sequence", None),
        ("max_tokens", Cause.TRUNCATED),
        ("model_context_window_exceeded", Cause.TOO_LONG),
        ("refusal", Cause.REFUSED),
        ("tool_use", Cause.WANTS_TOOLS),
        ("pause_turn", Cause.PAUSED),
        ("a_reason_of_next_year", Cause.MALFORMED),
        (None, Cause.MALFORMED),
    ],
)
def test_a_succeeded_row_is_an_answer_only_with_a_good_stop_reason(
    stop_reason: str | None, cause: Cause | None
) -> None:
    assert cause_of_stop_reason(stop_reason) is cause


@pytest.mark.parametrize(
    ("result_type", "cause"),
    [
        ("expired", Cause.PASSING),
        ("canceled", Cause.PASSING),
        ("missing", Cause.PASSING),
        ("a_type_of_next_year", Cause.OUR_FAULT),
    ],
)
def test_a_row_without_answer_and_error_passes_unless_it_is_unknown(result_type: str, cause: Cause) -> None:
    assert cause_of_result(result_type) is cause


LIMIT_TEXT = "max_tokens: 9000 > 4096, which is the maximum allowed number of output tokens for a-model"
STANDARD, EXAMPLE, SIMPLE = Variant.STANDARD, Variant.WORKED_EXAMPLE, Variant.SIMPLIFIED


@pytest.mark.parametrize(
    ("cause", "detail", "attempts", "max_tokens", "expected"),
    [
        (Cause.PASSING, "", 1, 100, NextAttempt(Remedy.SAME_AGAIN, 100)),
        (Cause.PASSING, "", 2, 100, NextAttempt(Remedy.SAME_AGAIN, 100)),
        (Cause.PASSING, "", 3, 100, NextAttempt(Remedy.GIVE_UP, 100)),
        (Cause.TRUNCATED, "", 1, 100, NextAttempt(Remedy.MORE_MAX_TOKENS, 200)),
        (Cause.TRUNCATED, "", 1, 600, NextAttempt(Remedy.MORE_MAX_TOKENS, 1000)),
        (Cause.TRUNCATED, "", 1, 1000, NextAttempt(Remedy.SPLIT, 1000)),
        # What twice as much was not enough for is split at last.
        (Cause.TRUNCATED, "", 2, 200, NextAttempt(Remedy.SPLIT, 200)),
        (Cause.PAUSED, "", 1, 100, NextAttempt(Remedy.CONTINUE, 100)),
        (Cause.PAUSED, "", 2, 100, NextAttempt(Remedy.CONTINUE, 100)),
        (Cause.TOO_LONG, "", 1, 100, NextAttempt(Remedy.SPLIT, 100)),
        (Cause.LIMIT_TOO_HIGH, LIMIT_TEXT, 1, 9000, NextAttempt(Remedy.CLAMP_MAX_TOKENS, 4096)),
        (Cause.LIMIT_TOO_HIGH, LIMIT_TEXT, 1, 4096, NextAttempt(Remedy.GIVE_UP, 4096)),
        (Cause.MALFORMED, "", 1, 100, NextAttempt(Remedy.WORKED_EXAMPLE, 100, EXAMPLE)),
        (Cause.UNSUPPORTED_CLAIM, "", 1, 100, NextAttempt(Remedy.SIMPLIFIED_PROMPT, 100, SIMPLE)),
        (Cause.REFUSED, "", 1, 100, NextAttempt(Remedy.SIMPLIFIED_PROMPT, 100, SIMPLE)),
        (Cause.OUR_FAULT, "", 1, 100, NextAttempt(Remedy.GIVE_UP, 100)),
        (Cause.NO_ACCESS, "", 1, 100, NextAttempt(Remedy.GIVE_UP, 100)),
        (Cause.WANTS_TOOLS, "", 1, 100, NextAttempt(Remedy.GIVE_UP, 100)),
    ],
)
def test_a_failed_request_gets_the_remedy_of_its_cause(
    cause: Cause, detail: str, attempts: int, max_tokens: int, expected: NextAttempt
) -> None:
    means = Means(1000, frozenset({STANDARD, EXAMPLE, SIMPLE}))
    assert next_attempt(cause, detail, Tried(attempts, max_tokens), means) == expected


@pytest.mark.parametrize(
    ("cause", "tried", "offered", "expected"),
    [
        # An example first, then the simplified prompt, then nothing.
        (Cause.MALFORMED, [STANDARD, EXAMPLE], [STANDARD, EXAMPLE, SIMPLE], SIMPLE),
        (Cause.MALFORMED, [STANDARD], [STANDARD, SIMPLE], SIMPLE),
        (Cause.MALFORMED, [STANDARD], [STANDARD], None),
        (Cause.MALFORMED, [STANDARD, SIMPLE], [STANDARD, SIMPLE], None),
        # A request that brings its own schema.
        (Cause.MALFORMED, [STANDARD], [STANDARD, Variant.REPAIR], Variant.REPAIR),
        (Cause.MALFORMED, [STANDARD, Variant.REPAIR], [STANDARD, Variant.REPAIR], None),
        # Each time it is another answer that is mended.
        (Cause.FAILED_CHECK, [STANDARD], [STANDARD, SIMPLE, Variant.REPAIR], Variant.REPAIR),
        (Cause.FAILED_CHECK, [STANDARD, Variant.REPAIR], [STANDARD, SIMPLE, Variant.REPAIR], Variant.REPAIR),
        (Cause.FAILED_CHECK, [STANDARD, Variant.REPAIR, Variant.REPAIR], [STANDARD, Variant.REPAIR], None),
        (Cause.FAILED_CHECK, [STANDARD], [STANDARD, SIMPLE], None),
        # Once only.
        (Cause.REFUSED, [STANDARD, SIMPLE], [STANDARD, EXAMPLE, SIMPLE], None),
        (Cause.UNSUPPORTED_CLAIM, [STANDARD, SIMPLE], [STANDARD, EXAMPLE, SIMPLE], None),
    ],
)
def test_another_form_of_the_prompt_is_tried_once_where_the_workflow_has_it(
    cause: Cause, tried: list[Variant], offered: list[Variant], expected: Variant | None
) -> None:
    lineage = Tried(len(tried), 100, tried[-1], frozenset(tried))
    following = next_attempt(cause, "", lineage, Means(1000, frozenset(offered)))
    assert (following.variant if following.remedy is not Remedy.GIVE_UP else None) is expected


def test_whatever_else_is_changed_keeps_the_form_that_was_reached() -> None:
    reached = Tried(2, 100, SIMPLE, frozenset({STANDARD, SIMPLE}))
    for cause in (Cause.PASSING, Cause.TRUNCATED):
        assert next_attempt(cause, "", reached, Means(1000, frozenset(Variant))).variant is SIMPLE


def test_what_cannot_be_split_gets_more_max_tokens_even_at_last() -> None:
    tried = Tried(2, 200, splits=MAX_SPLITS)
    assert next_attempt(Cause.TRUNCATED, "", tried, Means(1000)) == NextAttempt(Remedy.MORE_MAX_TOKENS, 400)


@pytest.mark.parametrize("cause", Cause)
def test_after_three_attempts_nothing_is_tried_again(cause: Cause) -> None:
    assert next_attempt(cause, "", Tried(3, 100), Means(1000, frozenset(Variant))).remedy is Remedy.GIVE_UP


@pytest.mark.parametrize("cause", [Cause.TOO_LONG, Cause.TRUNCATED])
@pytest.mark.parametrize(("splits", "remedy"), [(0, Remedy.SPLIT), (1, Remedy.SPLIT), (2, Remedy.GIVE_UP)])
def test_a_document_is_split_twice_at_most(cause: Cause, splits: int, remedy: Remedy) -> None:
    tried = Tried(1, 1000, splits=splits)
    assert next_attempt(cause, "", tried, Means(1000, frozenset(Variant))).remedy is remedy
