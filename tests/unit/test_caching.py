"""What all requests of a run share is cached where it is long enough, and where enough of them read it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from backcast.domain.caching import EXPECTED_HIT_SHARE, Hits, break_even, decide, saved_share
from backcast.domain.pricing import Ttl, Usage, batch_cost, least_tokens
from backcast.services.estimate import CostModel, shared_bytes
from backcast.settings import load_model, load_prompt, model_names

SONNET = load_model("claude-sonnet-5-5")
PREFIX = 700


def hits(percent: int, requests: int = 50) -> Hits:
    return Hits(requests, percent * PREFIX, (100 - percent) * PREFIX)


@pytest.mark.parametrize(
    ("model", "ttl", "least"),
    [
        ("claude-sonnet-5-5", "5m", "21.7"),
        ("claude-sonnet-5-5", "1h", "52.6"),
        ("claude-opus-5-5", "5m", "20.8"),
        ("claude-opus-5-5", "1h", "51.3"),
        ("claude-haiku-5-5", "1h", "52.6"),
        ("claude-haiku-4-5", "1h", "52.6"),
    ],
)
def test_at_the_break_even_it_costs_what_it_would_without(model: str, ttl: Ttl, least: str) -> None:
    share = break_even(load_model(model), ttl)
    assert round(100 * share, 1) == Decimal(least)
    assert abs(saved_share(load_model(model), ttl, share)) < Decimal("1e-20")


def test_what_is_saved_is_what_the_prices_say() -> None:
    read, written = (batch_cost(SONNET, Usage(**{f"cache_{kind}_tokens": 1000})) for kind in ("read", "write_1h"))
    plain = batch_cost(SONNET, Usage(input_tokens=1000))
    assert saved_share(SONNET, "1h", Decimal("0.75")) == 1 - (3 * read + written) / (4 * plain)


@pytest.mark.parametrize(("model", "least"), [(name, 4096 if "4-5" in name else 512) for name in model_names()])
def test_what_is_too_short_for_the_model_is_not_cached(model: str, least: int) -> None:
    assert decide(load_model(model), least, None).ttl == "1h"
    short = decide(load_model(model), least - 1, None)
    assert not short.pays
    assert short.why.endswith(f"has about {least - 1} tokens, and {model} caches nothing below {least}")


@pytest.mark.parametrize(
    ("requests", "pays"), [(0, False), (1, False), (5, False), (6, True), (60, True), (None, True)]
)
def test_a_few_requests_do_not_make_up_for_the_first_one(requests: int | None, *, pays: bool) -> None:
    caching = decide(SONNET, PREFIX, requests)
    assert caching.pays is pays
    assert (caching.saved_share > 0) is pays


@pytest.mark.parametrize(
    ("percent", "why"),
    [
        (31, "caching does not pay: 31 % of reads hit, and it takes 53 %"),
        (52, "caching does not pay: 52 % of reads hit, and it takes 53 %"),
        (53, "is cached for 1h: 53 % of reads hit, and it takes 52 %; that saves 0 % of what it would cost"),
        (98, "is cached for 1h: 98 % of reads hit, and it takes 52 %; that saves 86 % of what it would cost"),
    ],
)
def test_what_earlier_requests_have_shown_goes_before_what_is_expected(percent: int, why: str) -> None:
    assert decide(SONNET, PREFIX, 1000, hits(percent)).why.endswith(why)


def test_fewer_than_fifty_requests_show_nothing() -> None:
    assert decide(SONNET, PREFIX, 1000, hits(31, requests=49)) == decide(SONNET, PREFIX, 1000)


def test_where_nothing_was_cached_though_it_was_asked_for_it_is_not_asked_for_again() -> None:
    assert "nothing was cached of 60 earlier requests" in decide(SONNET, PREFIX, 1000, Hits(60, 0, 0)).why


def test_the_prompts_of_this_project_are_long_enough_but_for_the_model_that_caches_long_ones_only() -> None:
    for workflow in ("nightly_tech_debt", "weekly_code_audit"):
        tokens = least_tokens(shared_bytes(load_prompt(workflow, "v1")))
        paying = [name for name in model_names() if decide(load_model(name), tokens, 100).pays]
        assert paying == ["claude-haiku-5-5", "claude-opus-5-5", "claude-sonnet-5-5"]


def test_an_estimate_expects_hits_and_a_reservation_expects_none() -> None:
    prompt = load_prompt("nightly_tech_debt", "v1")
    plain, cached = CostModel(SONNET, prompt), CostModel(SONNET, prompt, "1h")
    shared = plain.usage(0).input_tokens - cached.usage(0).input_tokens
    assert cached.usage(0).prompt_tokens == plain.usage(0).prompt_tokens
    assert cached.usage(0).cache_read_tokens == int(shared * EXPECTED_HIT_SHARE)
    price = SONNET.prices[0].input / 1_000_000
    for synchronous, share in ((False, Decimal("0.5")), (True, Decimal(1))):
        most = [costs.most_usd(900, 100, synchronous=synchronous) for costs in (plain, cached)]
        assert most[1] - most[0] == shared * price * share


def test_a_reservation_covers_the_simplified_prompt_too() -> None:
    prompt = load_prompt("nightly_tech_debt", "v1")
    longer = replace(prompt, simplified_template=prompt.system_template + "x" * 3000)
    most = [CostModel(SONNET, version).most_usd(0, 1, synchronous=True) for version in (prompt, longer)]
    assert most[1] - most[0] == 1000 * SONNET.prices[0].input / 1_000_000
