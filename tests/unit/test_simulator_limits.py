"""Rate, queue and spend limits, and workspaces, as the real SDK meets them."""

from __future__ import annotations

import datetime as dt

import anthropic
import pytest
from tests.simulated import DAY, START, Simulated, params

from backcast_simulator.limits import LIMITS, RateLimit, TierLimits
from backcast_simulator.settings import SpendLimit


def test_the_limits_are_those_of_the_contract() -> None:
    limits = {tier: (each.calls_a_minute, each.queued_requests) for tier, each in LIMITS.items()}
    assert limits == {"start": (1000, 200_000), "build": (2000, 300_000), "scale": (4000, 500_000)}


def test_a_minutes_calls_are_allowed_at_once_and_come_back_steadily() -> None:
    limit = RateLimit(60)
    assert [limit.take(START).remaining for _ in range(60)] == list(range(59, -1, -1))
    refused = limit.take(START)
    assert (refused.retry_after, refused.seconds_to_full) == (1, 60)
    assert limit.take(START + dt.timedelta(seconds=1)).retry_after is None
    assert limit.take(START + dt.timedelta(seconds=1)).retry_after == 1
    assert limit.take(START + dt.timedelta(hours=1)).remaining == 59


def test_too_many_calls_of_all_batch_endpoints_together_are_refused_until_time_has_passed() -> None:
    world = Simulated(tier="start")
    batch = world.create()
    for _ in range(499):
        world.retrieve(batch.id)
    for _ in range(500):
        answer = world.client.messages.batches.with_raw_response.list()
    assert answer.headers["anthropic-ratelimit-requests-limit"] == "1000"
    assert answer.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert answer.headers["anthropic-ratelimit-requests-reset"] == "2026-11-24T22:01:00Z"
    with pytest.raises(anthropic.RateLimitError) as refused:
        world.retrieve(batch.id)
    assert refused.value.response.json()["error"]["type"] == "rate_limit_error"
    assert refused.value.response.headers["retry-after"] == "1"
    assert "anthropic-ratelimit-requests-limit" in refused.value.response.headers
    world.client.models.list()
    world.wait(1)
    world.retrieve(batch.id)


def test_too_many_synchronous_messages_are_refused_until_time_has_passed() -> None:
    world = Simulated(messages_per_minute=2)
    world.client.messages.create(**params())
    last = world.client.messages.with_raw_response.create(**params())
    assert last.headers["anthropic-ratelimit-requests-remaining"] == "0"
    with pytest.raises(anthropic.RateLimitError) as refused:
        world.client.messages.create(**params())
    world.wait(int(refused.value.response.headers["retry-after"]))
    world.client.messages.create(**params())
    # Batches have limits of their own.
    world.create()


def test_a_batch_must_fit_into_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, "start", TierLimits(1000, 20))
    world = Simulated(tier="start")
    world.simulator.add_strangers(10, 1)
    world.create(9)
    world.create(1)
    with pytest.raises(anthropic.RateLimitError, match="processing queue") as refused:
        world.create()
    assert refused.value.response.headers["retry-after"] == "60"
    world.wait(DAY)
    world.create(20)


@pytest.mark.parametrize(("kind", "status"), [("tier", 429), ("customer", 400)])
def test_what_costs_money_is_refused_once_the_bill_has_come_up_to_the_limit(kind: str, status: int) -> None:
    cost = Simulated()
    cost.create(10)
    cost.wait(DAY)
    price = cost.simulator.bill()["totals"]["cost_usd"]
    world = Simulated(spend_limit=SpendLimit(price * 1.5, kind))  # type: ignore[arg-type]
    world.create(10)
    second = world.create(10)
    world.wait(DAY)
    for refused_call in (world.create, lambda: world.client.messages.create(**params())):
        with pytest.raises(anthropic.APIStatusError, match="limit") as refused:
            refused_call()
        assert refused.value.status_code == status
        assert "retry-after" not in refused.value.response.headers
    assert len(world.rows(second.id)) == 10
    assert world.client.messages.count_tokens(model="claude-sonnet-5-5", messages=params()["messages"]).input_tokens


def test_a_batch_is_visible_in_its_own_workspace_only() -> None:
    world = Simulated(api_keys=frozenset({"plain"}), workspaces={"one": "nights", "other": "nights", "alien": "days"})
    batch = world.client_with("one").messages.batches.create(
        requests=[{"custom_id": "a", "params": params()}]  # type: ignore[typeddict-item]
    )
    assert world.client_with("other").messages.batches.retrieve(batch.id).id == batch.id
    for key in ("plain", "alien"):
        stranger = world.client_with(key).messages.batches
        assert stranger.list().data == []
        for call in (stranger.retrieve, stranger.cancel, stranger.delete):
            with pytest.raises(anthropic.NotFoundError):
                call(batch.id)
    with pytest.raises(anthropic.AuthenticationError):
        world.client_with("unknown").messages.batches.list()
