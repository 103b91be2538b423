"""The bill: by which hashes what was paid is found again, and at which prices."""

from __future__ import annotations

import hashlib
import json
from typing import Any, cast

import pytest
from tests.simulated import DAY, MODEL, Simulated, params

from backcast_simulator.catalogue import MODELS
from backcast_simulator.outcomes import Odds

NUMBERED = 'Review.\n<document-0123456789ab path="a.py" language="python">\n1| x = 1\n2| \n</document-0123456789ab>\n'


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_request_is_found_on_the_bill_by_its_parameters_and_its_document() -> None:
    world = Simulated()
    plain, with_document = params("no document"), params(NUMBERED, max_tokens=50)
    requests: Any = [{"custom_id": "a", "params": plain}, {"custom_id": "b", "params": with_document}]
    batch = world.client.messages.batches.create(requests=requests)
    world.wait(DAY)
    world.client.messages.create(**with_document)
    rows = world.simulator.bill()["requests"]
    assert [(row["batch_id"], row["custom_id"], row["kind"]) for row in rows] == [
        (batch.id, "a", "batch"),
        (batch.id, "b", "batch"),
        (None, None, "synchronous"),
    ]
    sent = [plain, with_document, with_document]
    assert [row["params_sha256"] for row in rows] == [
        sha256(json.dumps(each, sort_keys=True, separators=(",", ":"))) for each in sent
    ]
    assert [row["document_sha256"] for row in rows] == [sha256("no document"), *[sha256("x = 1\n")] * 2]
    assert rows[2]["cost_usd"] == pytest.approx(2 * rows[1]["cost_usd"])


def test_a_document_is_the_same_one_in_another_prompt() -> None:
    world = Simulated()
    for text in (NUMBERED, f"More simply.\n{NUMBERED}It is short."):
        world.client.messages.create(**params(text))
    rows = world.simulator.bill()["requests"]
    assert len({row["document_sha256"] for row in rows}) == 1
    assert len({row["params_sha256"] for row in rows}) == 2


@pytest.mark.parametrize(
    ("model", "prompt", "synchronous", "batch"),
    [
        ("claude-haiku-5-5", 100_000, (0.10, 0.50), (0.05, 0.25)),
        ("claude-haiku-5-5", 100_001, (0.50, 2.50), (0.25, 1.25)),
        (MODEL, 1000, (2, 10), (1, 5)),
        ("claude-opus-5-5", 1000, (4, 20), (2, 10)),
        ("claude-haiku-4-5", 1000, (1, 5), (0.50, 2.50)),
    ],
)
def test_prices_are_those_of_the_contract(
    model: str, prompt: int, synchronous: tuple[float, float], batch: tuple[float, float]
) -> None:
    for kind, prices in (("synchronous", synchronous), ("batch", batch)):
        cost = MODELS[model].cost_usd(prompt, 1000, kind)  # type: ignore[arg-type]
        assert cost == pytest.approx((prompt * prices[0] + 1000 * prices[1]) / 1e6)


def test_what_messages_wrote_to_the_cache_for_an_hour_they_and_a_batch_read_at_the_price_of_a_read() -> None:
    world = Simulated(odds=Odds(cache_hit_share=1.0))
    control = {"type": "ephemeral", "ttl": "1h"}
    prompt = params("d" * 3500, system=[{"type": "text", "text": "s" * 7000, "cache_control": control}])
    for _ in range(2):
        world.client.messages.create(**prompt)
    world.wait(60)
    world.client.messages.batches.create(requests=[{"custom_id": "a", "params": cast("Any", prompt)}])
    world.wait(DAY)
    batched, first, second = world.simulator.bill()["requests"]
    rows = [
        (row["input_tokens"], row["cache_creation_input_tokens"], row["cache_read_input_tokens"])
        for row in (first, second, batched)
    ]
    assert rows == [(1000, 2000, 0), (1000, 0, 2000), (1000, 0, 2000)]
    # US$ 2 and 10 a million of tokens in and out; a write for an hour at twice the price, a read at a tenth.
    out = first["output_tokens"] * 10
    assert first["cost_usd"] == pytest.approx((1000 * 2 + 2000 * 4 + out) / 1e6)
    assert second["cost_usd"] == pytest.approx((1000 * 2 + 2000 * 0.2 + out) / 1e6)
    assert batched["cost_usd"] == pytest.approx(second["cost_usd"] / 2)


def test_windows_and_longest_answers_are_those_of_the_contract() -> None:
    limits = {model.id: (model.max_input_tokens, model.max_tokens) for model in MODELS.values()}
    new = dict.fromkeys(("claude-haiku-5-5", MODEL, "claude-opus-5-5"), (1_000_000, 128_000))
    assert limits == {**new, "claude-haiku-4-5": (200_000, 64_000)}
