"""What all requests of a run share is cached, which stacks with the price of a batch, and not where it does not pay."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.stepped_night import DAY, SteppedNight
from tests.support import WORKFLOW

from backcast.ledger.runs import load_run
from backcast.services.cancel import cancel_run
from backcast.services.collect import collect
from backcast.services.estimate import estimate_night
from backcast.services.open_run import open_run
from backcast.services.preview import first_round
from backcast.services.prompts import builder_of
from backcast.services.rounds import plan_round
from backcast.services.submit import requests_of, unsent
from backcast.settings import run_settings
from backcast_simulator.outcomes import Odds
from backcast_simulator.rules import parse_rules
from backcast_simulator.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger

DOCUMENTS = 60
KEPT = {"type": "ephemeral", "ttl": "1h"}


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path, DOCUMENTS)


def night_of_hits(ledger: Ledger, folder: Path, share: float) -> SteppedNight:
    """Return a night on an API where so many of a batch's requests find what is in the cache."""
    return SteppedNight(ledger, folder, DOCUMENTS, Settings(workspaces={"k": "w"}, odds=Odds(cache_hit_share=share)))


def marks(night: SteppedNight, run_id: int) -> list[Any]:
    """Return what the first batch of a run says of caching, each once; None: nothing."""
    found: list[Any] = []
    with night.ledger.connect() as connection, connection.transaction():
        for batch_id in plan_round(night.ledger, night.now, run_id, 1):
            batch = unsent(connection, batch_id)
            assert batch
            for _, params in requests_of(connection, batch):
                [block] = orjson.loads(params)["system"]
                if block.get("cache_control") not in found:
                    found.append(block.get("cache_control"))
    return found


def told(night: SteppedNight, run_id: int) -> str:
    return collect(night.ledger, night.now, run_id, cache=night.folder).caching


def collected(night: SteppedNight, key: str, **params: Any) -> tuple[dict[str, Any], str]:
    """Collect a run of all documents anew; return it, and what was said of caching."""
    settings = run_settings(WORKFLOW, {"repository": str(night.repository), "full": True, "sla": "72h", **params})
    run_id = open_run(night.ledger, night.api, night.now, settings, external_key=key)
    said = told(night, run_id)
    return night.row("runs", run_id=run_id), said


def without_caching(night: SteppedNight, run_id: int) -> None:
    with night.ledger.connect() as connection:
        connection.execute("UPDATE runs SET cache_ttl = NULL WHERE run_id = %s", [run_id])


def billed(night: SteppedNight, run_id: int) -> float:
    """Go through a run; return what the API charges for it, which is what the ledger says it cost."""
    before = len(night.simulator.bill()["requests"])
    run = night.through(run_id, DAY / 6)
    assert run["answered"] == DOCUMENTS
    usd: float = sum(charge["cost_usd"] for charge in night.simulator.bill()["requests"][before:])
    with night.ledger.connect() as connection:
        rows = connection.execute(
            "SELECT cost_usd, reserved_usd FROM requests JOIN results USING (request_id) WHERE run_id = %s", [run_id]
        ).fetchall()
    assert abs(float(sum(row["cost_usd"] for row in rows)) - usd) < 1e-9
    assert all(row["cost_usd"] <= row["reserved_usd"] for row in rows)
    return usd


def test_a_night_with_caching_costs_less_than_the_same_night_without(ledger: Ledger, tmp_path: Path) -> None:
    night = night_of_hits(ledger, tmp_path, 0.9)
    run, said = collected(night, "dag/1")
    assert run["cache_ttl"] == "1h"
    assert said.startswith(f"what all requests share is cached for 1h: with {DOCUMENTS} requests 63 % of reads are")
    assert told(night, run["run_id"]) == said
    with_it = billed(night, run["run_id"])
    again = collected(night, "dag/2")[0]["run_id"]
    without_caching(night, again)
    without = billed(night, again)
    assert with_it < without
    charges = night.simulator.bill()["requests"]
    read, written = (sum(charge[f"cache_{kind}_input_tokens"] for charge in charges) for kind in ("read", "creation"))
    # In US$: a token that was read costs a tenth, one that was written twice as much, and a batch half of it.
    assert without - with_it == pytest.approx((0.9 * read - written) * 2 / 1_000_000 * 0.5)
    assert read + written == DOCUMENTS * max(charge["cache_read_input_tokens"] for charge in charges)


def test_every_request_carries_the_mark_at_the_end_of_what_all_share(night: SteppedNight) -> None:
    run, _ = collected(night, "dag/1")
    assert marks(night, run["run_id"]) == [KEPT]
    with night.ledger.connect() as connection:
        build = builder_of(load_run(connection, run["run_id"]))
    about = ("a.py", "python", "0" * 64, "VALUE = 1\n", 100)
    standard, example, simplified = (build(*about, form) for form in ("standard", "worked_example", "simplified"))
    assert standard["system"] == example["system"]
    # Few are sent with the simplified prompt, which would not make up for the first of them.
    assert "cache_control" not in simplified["system"][0]
    assert all("cache_control" not in orjson.dumps(params["messages"]).decode() for params in (standard, example))


def test_what_is_too_short_for_the_model_carries_no_mark(night: SteppedNight) -> None:
    run, said = collected(night, "dag/1", model="claude-haiku-4-5")
    assert said.endswith("and claude-haiku-4-5 caches nothing below 4096")
    assert marks(night, run["run_id"]) == [None]
    assert told(night, run["run_id"]) == said


def test_caching_that_did_not_pay_is_switched_off_and_tried_again_after_a_month(ledger: Ledger, tmp_path: Path) -> None:
    night = night_of_hits(ledger, tmp_path, 0.2)
    first, _ = collected(night, "dag/1")
    billed(night, first["run_id"])
    second, said = collected(night, "dag/2")
    read = sum(charge["cache_read_input_tokens"] for charge in night.simulator.bill()["requests"])
    per_request = max(charge["cache_read_input_tokens"] for charge in night.simulator.bill()["requests"])
    hit = 100 * read // (per_request * DOCUMENTS)
    assert said == f"caching does not pay: {hit} % of reads hit, and it takes 53 %"
    assert (second["cache_ttl"], marks(night, second["run_id"])) == (None, [None])
    # Another model may do better.
    assert collected(night, "dag/3", model="claude-opus-5-5")[0]["cache_ttl"] == "1h"
    cancel_run(night.ledger, night.api, night.now, second["run_id"])
    night.simulator.advance(31 * DAY)
    assert collected(night, "dag/4")[0]["cache_ttl"] == "1h"


def test_what_the_ledger_knows_of_hits_goes_into_the_estimate(ledger: Ledger, tmp_path: Path) -> None:
    night = night_of_hits(ledger, tmp_path, 1.0)
    first, _ = collected(night, "dag/1")
    billed(night, first["run_id"])
    second, said = collected(night, "dag/2")
    assert "cached for 1h: 99 % of reads hit" in said
    assert second["estimated_usd"] < first["estimated_usd"]


def test_the_most_that_a_request_can_cost_is_reserved_though_it_finds_nothing_in_the_cache(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Its answer is as long as is allowed, so that nothing else makes up for what is written."""
    night = night_of_hits(ledger, tmp_path, 0.0)
    night.simulator.set_rules(parse_rules([{"outcome": "truncated", "attempts": [1]}]))
    run, _ = collected(night, "dag/1")
    [batch_id] = plan_round(night.ledger, night.now, run["run_id"], 1)
    night.submit(batch_id)
    night.simulator.advance(DAY / 6)
    costs = sorted(charge["cost_usd"] for charge in night.simulator.bill()["requests"])
    reserved = float(night.row("requests", run_id=run["run_id"])["reserved_usd"])
    assert 0.95 * reserved < costs[0] <= costs[-1] <= reserved


def test_what_the_budget_leaves_out_shares_nothing(night: SteppedNight) -> None:
    all_of_them, _ = collected(night, "dag/1")
    most = float(night.row("requests", run_id=all_of_them["run_id"])["reserved_usd"])
    cancel_run(night.ledger, night.api, night.now, all_of_them["run_id"])
    few, said = collected(night, "dag/2", max_usd=5.5 * most)
    assert (few["estimated_requests"], few["cache_ttl"]) == (5, None)
    assert said.startswith("caching does not pay: with 5 requests")


def test_a_preview_and_an_estimate_reckon_with_it(night: SteppedNight) -> None:
    run, said = collected(night, "dag/1")
    preview = first_round(run_settings(WORKFLOW, {"repository": str(night.repository)}), night.folder, 2)
    with preview.body as body:
        shown = orjson.loads(body.read())["requests"]
    # Of all there are, though only two are shown.
    assert [request["params"]["system"][0]["cache_control"] for request in shown] == [KEPT, KEPT]
    assert any("is cached for 1h" in note for note in preview.notes)
    estimate = estimate_night(WORKFLOW, str(night.repository))
    assert estimate.caching == said
    assert estimate.cost_usd == run["estimated_usd"] < estimate.synchronous_usd
    assert Decimal(0) < estimate.cost_usd
