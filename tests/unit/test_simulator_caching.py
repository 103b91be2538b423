"""The prompt cache: what is written, what is read, and what it costs."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from backcast_simulator.caching import PromptCache, prefixes_of
from backcast_simulator.catalogue import MODELS, NOTHING_CACHED, CachedTokens
from backcast_simulator.clock import SteppedClock
from backcast_simulator.core import Batch, Batches
from backcast_simulator.outcomes import Odds
from backcast_simulator.prompts import input_tokens
from backcast_simulator.storage import Store
from backcast_simulator.validation import params_problem

if TYPE_CHECKING:
    from pathlib import Path

START = dt.datetime(2026, 11, 24, 22, tzinfo=dt.UTC)
SONNET, HAIKU_4_5 = MODELS["claude-sonnet-5-5"], MODELS["claude-haiku-4-5"]
SHORT, LONG = "s" * 1750, "l" * 17_500


def block(text: str, ttl: str | None = "1h") -> dict[str, Any]:
    control = {} if ttl is None else {"cache_control": {"type": "ephemeral", "ttl": ttl}}
    return {"type": "text", "text": text, **control}


def params(*system: dict[str, Any], text: str = "hello", **changes: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": SONNET.id, "max_tokens": 100, "system": list(system), "messages": messages, **changes}


def use(cache: PromptCache, request: dict[str, Any], minutes: float = 0, **more: Any) -> CachedTokens:
    return cache.use("default", SONNET, prefixes_of(request), START + dt.timedelta(minutes=minutes), **more)


def test_the_first_request_writes_and_the_next_one_reads() -> None:
    cache = PromptCache()
    assert use(cache, params(block(LONG))) == CachedTokens(written_1h=5000)
    assert use(cache, params(block(LONG), text="another"), 30) == CachedTokens(read=5000)


@pytest.mark.parametrize(("ttl", "minutes", "warm"), [("5m", 4, True), ("5m", 5, False), ("1h", 59, True)])
def test_a_prefix_is_there_as_long_as_its_ttl_says(ttl: str, minutes: float, *, warm: bool) -> None:
    cache = PromptCache()
    use(cache, params(block(LONG, ttl)))
    assert bool(use(cache, params(block(LONG, ttl)), minutes).read) is warm


def test_every_use_keeps_a_prefix_for_another_ttl() -> None:
    cache = PromptCache()
    assert [use(cache, params(block(LONG, "5m")), minutes).read for minutes in (0, 4, 8, 12)] == [0, 5000, 5000, 5000]


def test_a_longer_prompt_reads_the_shared_part_and_writes_the_rest() -> None:
    cache = PromptCache()
    use(cache, params(block(LONG)))
    longer = params(block(LONG), block(SHORT, "5m"))
    assert use(cache, longer) == CachedTokens(read=5000, written_5m=500)
    assert use(cache, longer) == CachedTokens(read=5500)


def test_a_different_prefix_is_not_read() -> None:
    cache = PromptCache()
    use(cache, params(block(LONG)))
    assert use(cache, params(block("x" + LONG))).read == 0
    assert cache.use("another workspace", SONNET, prefixes_of(params(block(LONG))), START).read == 0


def test_below_the_models_minimum_caching_is_silently_off() -> None:
    cache = PromptCache()
    assert use(cache, params(block("x" * 1785))) == NOTHING_CACHED
    assert use(cache, params(block("x" * 1792))) == CachedTokens(written_1h=512)
    medium = prefixes_of(params(block("x" * 14_000)))
    assert cache.use("default", HAIKU_4_5, medium, START) == NOTHING_CACHED
    assert cache.use("default", HAIKU_4_5, prefixes_of(params(block(LONG))), START).written_1h == 5000


def test_without_cache_control_nothing_is_cached_and_at_the_top_it_is_for_the_whole_prompt() -> None:
    assert prefixes_of(params(block(LONG, None))) == ()
    (prefix,) = prefixes_of(params(block(LONG, None), cache_control={"type": "ephemeral"}))
    assert (prefix.ttl, prefix.tokens) == ("5m", 5002)


def test_tools_come_before_the_system_prompt() -> None:
    tool = {"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}
    first, second = prefixes_of(params(block(LONG, "5m"), tools=[tool]))
    assert first.tokens < 20
    assert 5000 < second.tokens <= input_tokens(params(block(LONG), tools=[tool]))


def batch_of(count: int, hit_share: float, ttl: str = "1h") -> list[CachedTokens]:
    clock = SteppedClock(START)
    batches = Batches(Odds(cache_hit_share=hit_share))
    pairs = [(f"r{number}", params(block(LONG, ttl), text=f"document {number}")) for number in range(count)]
    batch: Batch = batches.create("msgbatch_simulator_1", pairs, clock.now(), version="2026-10-21")
    return [request.cached for request in batch.requests]


def test_in_a_batch_the_settings_share_of_requests_reads_and_the_same_ones_each_time() -> None:
    cached = batch_of(500, 0.7)
    assert cached == batch_of(500, 0.7)
    assert 0.6 < sum(1 for tokens in cached if tokens.read) / 500 < 0.8
    assert all(tokens.total == 5000 for tokens in cached)
    assert sum(1 for tokens in batch_of(500, 1.0) if not tokens.read) == 1
    assert not any(tokens.read for tokens in batch_of(50, 0.0))


def test_in_a_batch_an_hour_is_better_than_five_minutes() -> None:
    reads = {ttl: sum(1 for tokens in batch_of(12, 1.0, ttl) if tokens.read) for ttl in ("5m", "1h")}
    assert reads["5m"] < reads["1h"]


def test_a_request_that_fails_writes_nothing() -> None:
    batches = Batches(Odds(errored_share=1.0))
    batch = batches.create("msgbatch_simulator_1", [("a", params(block(LONG)))], START, version="2026-10-21")
    assert batch.requests[0].cached == NOTHING_CACHED


def test_prices_of_writes_and_reads_stack_with_the_batch_discount() -> None:
    written, read = CachedTokens(written_5m=1000, written_1h=2000), CachedTokens(read=4000)
    opus = MODELS["claude-opus-5-5"]
    assert SONNET.cost_usd(10_000, 0, "synchronous") == pytest.approx(10_000 * 2e-6)
    assert SONNET.cost_usd(10_000, 0, "synchronous", written) == pytest.approx((7000 + 1250 + 4000) * 2e-6)
    assert SONNET.cost_usd(10_000, 0, "batch", read) == pytest.approx((6000 + 400) * 1e-6)
    assert opus.cost_usd(10_000, 0, "batch", read) == pytest.approx((6000 + 200) * 2e-6)


def test_a_long_prompt_costs_more_as_a_whole() -> None:
    haiku = MODELS["claude-haiku-5-5"]
    assert haiku.cost_usd(100_000, 1000, "synchronous") == pytest.approx(100_000 * 0.1e-6 + 1000 * 0.5e-6)
    assert haiku.cost_usd(100_001, 1000, "batch") == pytest.approx((100_001 * 0.5e-6 + 1000 * 2.5e-6) / 2)
    read = CachedTokens(read=90_000)
    assert haiku.cost_usd(100_001, 0, "synchronous", read) == pytest.approx((10_001 + 9000) * 0.5e-6)


def test_what_a_batch_used_of_the_cache_is_kept_in_a_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    pairs = [(f"r{number}", params(block(LONG), text=f"document {number}")) for number in range(20)]
    batch = Batches(Odds(), store).create("msgbatch_simulator_1", pairs, START, version="2026-10-21")
    cached = [request.cached for request in batch.requests]
    store.close()
    (again,) = Batches(Odds(), Store(tmp_path / "state")).all()
    assert [request.cached for request in again.requests] == cached
    assert any(tokens.read for tokens in cached)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"system": [block(LONG, "2h")]}, "system.0.cache_control.ttl: Input should be '5m' or '1h'"),
        ({"system": [{"type": "text", "text": "a", "cache_control": {}}]}, "system.0.cache_control.type: Input"),
        ({"system": [{"type": "text", "text": "a", "cache_control": 1}]}, "system.0.cache_control: Input should be"),
        ({"system": [block("a")] * 5}, "A maximum of 4 blocks with cache_control may be provided. Found 5."),
        ({"system": [block("a", "5m"), block("b", "1h")]}, "cache_control: a ttl='1h' cache_control block must not"),
        ({"cache_control": "ephemeral"}, "cache_control: Input should be a valid dictionary"),
    ],
)
def test_a_wrong_cache_control_is_a_400(change: dict[str, Any], message: str) -> None:
    problem = params_problem({**params(), **change}, "2026-10-21")
    assert problem is not None
    assert problem.message.startswith(message)
