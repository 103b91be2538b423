"""No more is spent than allowed: on a run and in a month, first pass, retries and synchronous answers together."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.stepped_night import DAY, SteppedNight

from backcast.domain.workflow import Budget
from backcast.services.collect import collect
from backcast.services.open_run import open_run
from backcast.services.publish import publish
from backcast.services.rounds import plan_round
from backcast.settings import run_settings
from backcast_simulator.rules import parse_rules

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger

DOCUMENTS = 4


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path, DOCUMENTS)


def reserved(night: SteppedNight, run_id: int) -> list[Decimal]:
    """Return what each request of a run can cost at most."""
    with night.ledger.connect() as connection:
        rows = connection.execute("SELECT reserved_usd FROM requests WHERE run_id = %s", [run_id]).fetchall()
    return [row["reserved_usd"] for row in rows]


def at_most(night: SteppedNight) -> Decimal:
    """Return what a request of this night can cost at most as a batch."""
    run_id = night.collected("estimate/1", repository=str(night._own_repository("estimate")))
    return max(reserved(night, run_id))


def night_of(night: SteppedNight, run_id: int) -> dict[str, Any]:
    return night.through(run_id, DAY / 6)


def reasons(night: SteppedNight, run_id: int) -> set[str]:
    with night.ledger.connect() as connection:
        query = "SELECT DISTINCT reason FROM documents WHERE run_id = %s AND outcome = 'unanswered'"
        return {row["reason"] for row in connection.execute(query, [run_id]).fetchall()}


def spent(night: SteppedNight) -> float:
    return sum(charge["cost_usd"] for charge in night.simulator.bill()["requests"])


def test_what_the_budget_of_a_run_does_not_cover_is_listed_as_unanswered(night: SteppedNight) -> None:
    budget = Decimal("2.5") * at_most(night)
    run_id = night.collected(max_usd=str(budget))
    assert night.row("runs", run_id=run_id)["estimated_requests"] == 2
    done = night_of(night, run_id)
    assert (done["answered"], done["unanswered"]) == (2, 2)
    assert spent(night) <= budget
    with night.ledger.connect() as connection:
        left = connection.execute(
            "SELECT path, reason FROM documents WHERE run_id = %s AND outcome = 'unanswered' ORDER BY path", [run_id]
        ).fetchall()
    # The documents are of one size, so the first ones get the money.
    assert [row["path"] for row in left] == ["module2.py", "module3.py"]
    assert all(row["reason"].startswith(f"budget: the US$ {budget:f} of this run") for row in left)


def test_a_budget_of_nothing_sends_nothing(night: SteppedNight) -> None:
    done = night_of(night, night.collected(max_usd="0"))
    assert done["unanswered"] == DOCUMENTS
    assert night.calls("POST") == []


def test_without_a_budget_nothing_is_left_out(night: SteppedNight) -> None:
    assert night_of(night, night.collected())["answered"] == DOCUMENTS


def test_what_is_answered_frees_what_it_did_not_cost_for_retries(night: SteppedNight) -> None:
    """One request can cost as much as its longest answer, and costs far less."""
    night.simulator.set_rules(parse_rules([{"outcome": "errored", "error_type": "api_error", "attempts": [1]}]))
    done = night_of(night, night.collected(max_usd=str(Decimal("4.1") * at_most(night))))
    assert done["answered"] == DOCUMENTS


def test_a_synchronous_answer_costs_twice_as_much_and_must_fit_too(night: SteppedNight) -> None:
    budget = Decimal("4.1") * at_most(night)
    run_id = night.collected(max_usd=str(budget), sla="1h")
    assert plan_round(night.ledger, night.now, run_id, 1) == []
    night.rescue(run_id)
    publish(night.ledger, night.now, run_id, reports=night.folder / "reports")
    done = night.row("runs", run_id=run_id)
    assert (done["answered"], done["unanswered"]) == (2, 2)
    assert spent(night) <= budget


def test_the_budget_of_a_month_is_for_all_its_runs_and_begins_anew_with_the_next(
    night: SteppedNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKCAST_MAX_USD_A_MONTH", str(Decimal("3.5") * at_most(night)))
    first = night.collected("dag/1")
    second = night.collected("dag/2", repository=str(night._own_repository("dag/2")))
    # The estimate above is of this month too, and holds four requests that nobody sends.
    assert [night.row("runs", run_id=run)["estimated_requests"] for run in (first, second)] == [0, 0]
    night.simulator.advance((dt.datetime(2026, 12, 1, tzinfo=dt.UTC) - night.now()).total_seconds())
    third = night.collected("dag/3", repository=str(night._own_repository("dag/3")))
    assert night.row("runs", run_id=third)["estimated_requests"] == 3


def test_runs_that_collect_at_once_never_reserve_more_than_the_month_has(
    night: SteppedNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = at_most(night)
    with night.ledger.connect() as connection:
        connection.execute("UPDATE requests SET claims = false")
    monkeypatch.setenv("BACKCAST_MAX_USD_A_MONTH", str(Decimal("6.5") * most))
    repositories = {key: str(night._own_repository(key)) for key in ("a/1", "b/1", "c/1")}
    threads = [
        threading.Thread(target=night.collected, args=[key], kwargs={"repository": repository})
        for key, repository in repositories.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with night.ledger.connect() as connection:
        row = connection.execute("SELECT count(*) AS claimed FROM requests WHERE claims").fetchone() or {}
    assert row["claimed"] == 6


@pytest.mark.parametrize("amount", ["much", "-1", "NaN", "inf"])
def test_an_amount_that_is_none_is_refused_with_what_to_write(amount: str) -> None:
    with pytest.raises(Exception, match=r"max_usd is .*: write an amount in US\$ such as 12.50"):
        run_settings("nightly_tech_debt", {"max_usd": amount})


def test_trying_again_may_have_a_limit_of_its_own(night: SteppedNight) -> None:
    night.simulator.set_rules(parse_rules([{"outcome": "errored", "error_type": "api_error", "attempts": [1]}]))
    settings = run_settings("nightly_tech_debt", {"repository": str(night.repository)})
    settings = replace(settings, budget=Budget(retries=Decimal("1.5") * at_most(night)))
    run_id = open_run(night.ledger, night.api, night.now, settings, external_key="dag/1")
    collect(night.ledger, night.now, run_id, cache=night.folder)
    # The first attempts are not bound by it.
    assert night.row("runs", run_id=run_id)["estimated_requests"] == DOCUMENTS
    done = night_of(night, run_id)
    assert done["answered"] == 1
    limit = f"US$ {settings.budget.retries:f} of this run for trying again"
    assert reasons(night, run_id) == {f"budget: the {limit} does not cover this request"}
