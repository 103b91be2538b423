"""The small pure decisions: lines, durations, fingerprints, packing, prices, ids."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backcast.domain.durations import parse_duration
from backcast.domain.findings import with_fingerprints
from backcast.domain.lines import number_lines, quote_is_at, split_lines
from backcast.domain.packing import batch_sizes
from backcast.domain.pricing import Model, Price, Usage, batch_cost, estimate_tokens, synchronous_cost
from backcast.domain.wire_ids import slug
from backcast.domain.workflow import PromptVersion, answer_key


def test_lines_are_split_where_git_counts_them_and_nowhere_else() -> None:
    assert split_lines("a\r\nb\u2028c\x0cd\n") == ["a\r", "b\u2028c\x0cd"]
    assert split_lines("") == []
    assert number_lines("\n".join("abcdefghij")).splitlines()[0] == " 1| a"


@pytest.mark.parametrize(
    ("quote", "start", "end", "found"),
    [
        ("    return 1", 2, 2, True),
        ("return 1", 1, 3, True),
        ("def f():\n    return 1", 1, 2, True),
        ("\ndef f():\nreturn 1\n", 1, 2, True),
        ("return 1", 3, 4, False),
        ("return", 2, 2, False),
        ("return 2", 1, 4, False),
        ("", 1, 4, False),
        ("   \n", 1, 4, False),
        ("return 1", 0, 2, False),
        ("return 1", 3, 2, False),
        ("return 1", 1, 99, False),
    ],
)
def test_a_quote_counts_only_when_its_whole_lines_stand_within_the_stated_ones(
    quote: str, start: int, end: int, found: bool
) -> None:
    lines = ["def f():", "    return 1", "", "x = f()"]
    assert quote_is_at(lines, quote, start, end) is found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30h", timedelta(hours=30)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("5s", timedelta(seconds=5)),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "30", "h", "-3h", "3.5h", "0h", "30 hours"])
def test_what_is_no_duration_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 30h"):
        parse_duration(text)


def _finding(evidence: str, category: str = "complexity") -> dict[str, Any]:
    return {"evidence": evidence, "category": category}


def test_a_fingerprint_survives_moved_and_reindented_lines_but_not_another_file() -> None:
    [(first, _)] = with_fingerprints("a.py", [_finding("def f(x):\n    return x")])
    [(moved, _)] = with_fingerprints("a.py", [_finding("    def f(x):\n        return x\n")])
    [(elsewhere, _)] = with_fingerprints("b.py", [_finding("def f(x):\n    return x")])
    assert first == moved != elsewhere


def test_the_same_quote_twice_makes_two_findings() -> None:
    prints = [fingerprint for fingerprint, _ in with_fingerprints("a.py", [_finding("x"), _finding("x")])]
    assert len(set(prints)) == 2


@given(st.lists(st.integers(1, 50), max_size=60), st.sets(st.integers(1, 9)), st.integers(1, 7), st.integers(20, 100))
def test_packing_loses_nothing_and_keeps_to_the_limits(
    sizes: list[int], taken: set[int], most: int, most_bytes: int
) -> None:
    packed = batch_sizes(sizes, taken, max_requests=most, max_bytes=most_bytes)

    assert sum(packed) == len(sizes)
    assert all(1 <= size <= most for size in packed)


@pytest.mark.parametrize(
    ("count", "taken", "most", "packed"),
    [
        (0, set(), 5, []),
        (3, set(), 5, [3]),
        (5, set(), 5, [5]),
        (10, set(), 5, [5, 4, 1]),
        (12, set(), 5, [5, 4, 3]),
        (10, {10}, 100, [9, 1]),
        (10, {10, 9, 1}, 100, [8, 2]),
        (1, {1}, 100, [1]),
        (2, {2}, 100, [2]),
        (3, {3}, 100, [2, 1]),
    ],
)
def test_no_two_batches_are_alike_where_that_can_be_had(
    count: int, taken: set[int], most: int, packed: list[int]
) -> None:
    assert batch_sizes([1] * count, taken, max_requests=most) == packed


SONNET = Model("claude-sonnet-5-5", 1_000_000, 128_000, (Price(Decimal(2), Decimal(10)),))
HAIKU = Model(
    "claude-haiku-5-5",
    1_000_000,
    128_000,
    (Price(Decimal("0.10"), Decimal("0.50"), 100_000), Price(Decimal("0.50"), Decimal("2.50"))),
)


def test_a_batch_costs_half_of_everything() -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=100_000, cache_read_tokens=1_000_000)
    assert synchronous_cost(SONNET, usage) == Decimal("3.2")
    assert batch_cost(SONNET, usage) == Decimal("1.6")


def test_a_longer_prompt_costs_more_for_the_whole_request() -> None:
    assert synchronous_cost(HAIKU, Usage(input_tokens=100_000)) == Decimal("0.01")
    assert synchronous_cost(HAIKU, Usage(input_tokens=50_000, cache_write_1h_tokens=50_001)) == Decimal("0.0750010")


def test_a_text_is_estimated_rather_too_long() -> None:
    assert estimate_tokens(10) == 4


def test_whatever_changes_an_answer_changes_its_key() -> None:
    prompt = PromptVersion("v1", "system", "document", "{}")
    hashes = {
        prompt.prompt_hash,
        PromptVersion("v1", "system", "document", '{"type":"object"}').prompt_hash,
        PromptVersion("v1", "systemd", "ocument", "{}").prompt_hash,
    }
    assert len(hashes) == 3
    assert answer_key("content", "prompt", "model") != answer_key("content", "prompt", "other")


def test_a_slug_holds_only_what_a_custom_id_may() -> None:
    assert slug("nightly_tech_debt") == "nightly-tech-debt"
    assert len(slug("a very long name of a workflow: ÄÖÜ")) <= 24
