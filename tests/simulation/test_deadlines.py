"""Nights of every weather and SLA: nothing is late, nothing unanswered but what was refused, nothing paid twice.

The services and PostgreSQL are real; the API is the simulator in this process, and its clock is everybody's. With
`NIGHTS_TABLE` the outcome is added to that file, a line of JSON for each weather and SLA.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.simulation.tables import empty
from tests.simulation.world import FlakyLedger
from tests.stepped_night import SteppedNight
from tests.support import commit, git

from backcast.services.ingest import ingest
from backcast.services.publish import publish
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import plan_round
from backcast.services.waiting import awaited_batch
from backcast_simulator.outcomes import Odds
from backcast_simulator.rules import parse_rules
from backcast_simulator.settings import Settings
from backcast_simulator.weather import WEATHERS

if TYPE_CHECKING:
    from backcast.ledger.connection import Ledger

DOCUMENTS = 40
NIGHTS = int(os.environ.get("NIGHTS", "8"))
SLAS = ["26h", "30h", "36h", "48h", "72h"]
LOOK = dt.timedelta(minutes=30)
# 8 % fail at first and can succeed; one in a hundred is refused for good.
FAILURES: list[dict[str, Any]] = [
    {"share": 0.01, "outcome": "refusal"},
    {"share": 0.01, "outcome": "truncated", "attempts": [1]},
    {"share": 0.07, "outcome": "errored", "error_type": "overloaded_error", "attempts": [1]},
]


@dataclass
class Tally:
    """What became of the documents of several nights; `cost` is a share of answering everything synchronously."""

    nights: int = 0
    late: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    paid_twice: int = 0
    canceled_batches: int = 0
    synchronous: int = 0
    costs: list[float] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        unanswered = sum(count for outcome, count in self.outcomes.items() if outcome not in {"answered", "refused"})
        return {
            "nights": self.nights,
            "late": self.late,
            "documents": self.outcomes.total(),
            "refused": self.outcomes["refused"],
            "unanswered": unanswered,
            "paid_twice": self.paid_twice,
            "canceled_batches": self.canceled_batches,
            "synchronous": self.synchronous,
            "cost": round(sum(self.costs) / len(self.costs), 3),
        }


def repository(folder: Path, seed: int) -> str:
    """Make documents that chance treats otherwise than those of other seeds."""
    folder.mkdir(parents=True)
    for number in range(DOCUMENTS):
        (folder / f"module{number}.py").write_text(
            f"VALUE = {seed, number}\n\n\ndef run(x):\n    return x + {number}\n" * 9
        )
    git(folder, "init", "-q")
    commit(folder, "first")
    return str(folder)


def live(night: SteppedNight, run_id: int) -> None:
    """Do what the DAG does, at the moments at which Airflow would."""
    for number in (1, 2):
        if number > 1:
            resubmit_failures(night.ledger, run_id, number)
        waiting = [night.submit(batch_id) for batch_id in plan_round(night.ledger, night.now, run_id, number)]
        look_at = night.now()
        while waiting:
            for batch_id in list(waiting):
                if has_ended(night, batch_id, look=night.now() >= look_at):
                    waiting.remove(batch_id)
                    ingest(night.ledger, night.api, night.now, batch_id)
                    night.rescue(run_id, final=False)
            if night.now() >= look_at and waiting:
                look_at = awaited_batch(night.ledger, night.api, night.now, waiting[0]).look_at or night.now() + LOOK
            night.simulator.advance(min(LOOK, max(look_at - night.now(), dt.timedelta(seconds=1))).total_seconds())
    night.rescue(run_id)
    publish(night.ledger, night.now, run_id, reports=night.folder / "reports")


def has_ended(night: SteppedNight, batch_id: int, *, look: bool) -> bool:
    if look and awaited_batch(night.ledger, night.api, night.now, batch_id).ended:
        return True
    api_batch_id = night.row("batches", batch_id=batch_id)["api_batch_id"]
    return api_batch_id is None or night.api.retrieve(api_batch_id).ended_at is not None


def add(tally: Tally, night: SteppedNight, run_id: int) -> None:
    run = night.row("runs", run_id=run_id)
    with night.ledger.connect() as connection:
        documents = connection.execute("SELECT outcome, reason FROM documents WHERE run_id = %s", [run_id]).fetchall()
        batches = connection.execute("SELECT cut_off_at FROM batches WHERE run_id = %s", [run_id]).fetchall()
        costs = connection.execute("SELECT synchronous_usd FROM results WHERE verdict = 'accepted'").fetchall()
    tally.nights += 1
    tally.late += run["published_at"] > run["deadline"]
    tally.outcomes.update(
        "refused" if (document["reason"] or "").startswith("refused") else (document["reason"] or "answered")
        for document in documents
    )
    charges = night.simulator.bill()["requests"]
    # One that failed was paid for too, and went again with more tokens: what counts is the same request twice.
    tally.paid_twice += len(charges) - len({(charge["params_sha256"], charge["custom_id"]) for charge in charges})
    tally.canceled_batches += sum(batch["cut_off_at"] is not None for batch in batches)
    tally.synchronous += sum(charge["kind"] == "synchronous" for charge in charges)
    whole = sum(float(row["synchronous_usd"]) for row in costs)
    tally.costs.append(sum(charge["cost_usd"] for charge in charges) / whole)


def nights(ledger: Ledger, tmp_path: Path, weather: str, rescue: str, **params: Any) -> Tally:
    tally = Tally()
    ledger = FlakyLedger(ledger.dsn)
    for seed in range(1, NIGHTS + 1):
        with ledger.connect() as connection:
            empty(connection)
        documents = repository(tmp_path / str(seed) / "documents", seed)
        night = SteppedNight(ledger, tmp_path / str(seed), 1, Settings(odds=Odds(seed=seed, weather=WEATHERS[weather])))
        night.simulator.set_rules(parse_rules(FAILURES))
        run_id = night.collected(f"{weather}/{seed}", repository=documents, **params)
        with ledger.connect() as connection:
            connection.execute("UPDATE runs SET rescue = %s::jsonb", [rescue])
        live(night, run_id)
        add(tally, night, run_id)
    tell(weather, rescue, tally, **params)
    return tally


def tell(weather: str, rescue: str, tally: Tally, **params: Any) -> None:
    if table := os.environ.get("NIGHTS_TABLE"):
        with Path(table).open("a") as file:
            file.write(json.dumps({"weather": weather, **params, "rescue": rescue, **tally.told()}) + "\n")


@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize("sla", SLAS)
def test_nothing_is_late_and_nothing_unanswered_wherever_it_can_be_drained(
    ledger: Ledger, tmp_path: Path, weather: str, sla: str
) -> None:
    # 44 minutes to answer 40 documents, which just fits into 26 hours.
    told = nights(ledger, tmp_path, weather, '{"requests_per_minute": 1}', sla=sla).told()
    assert (told["late"], told["unanswered"], told["paid_twice"]) == (0, 0, 0)
    assert told["documents"] == NIGHTS * DOCUMENTS
    # Half the price and the failures, while batches come; all of it and the failures, when none does.
    assert told["cost"] < (1.2 if weather == "all-expire" else 0.95)
    if weather == "calm":
        assert told["cost"] < 0.6
        assert told["canceled_batches"] == 0


@pytest.mark.parametrize("weather", ["calm", "slow"])
def test_what_would_take_60_hours_to_drain_is_batched_all_the_same(
    ledger: Ledger, tmp_path: Path, weather: str
) -> None:
    """40 documents at one in 90 minutes: no policy can answer them synchronously within 30 hours."""
    told = nights(ledger, tmp_path, weather, '{"requests_per_minute": 0.0111}', sla="30h").told()
    assert (told["late"], told["unanswered"], told["paid_twice"]) == (0, 0, 0)
