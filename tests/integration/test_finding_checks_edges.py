"""Where the checks of an audit's findings are easily wrong: two of them at once, settings that change, hostile text."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from tests.audits import AUDIT, EVAL, Week
from tests.integration.test_finding_checks import EVALS, reasons, verdicts

from backcast.ledger.connection import sql
from backcast.services.locks import tried_checks
from backcast.services.tool_loop import Bounds, ask, most_usd_of_first_turn
from backcast.settings import load_model

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger


MODEL = "claude-sonnet-5-5"


@pytest.fixture
def week(ledger: Ledger, tmp_path: Path) -> Week:
    week = Week(ledger, tmp_path, documents=1)
    week.write(**dict.fromkeys(EVALS, EVAL))
    return week


def test_whoever_does_not_get_its_turn_takes_no_verdict_away(week: Week) -> None:
    run_id = week.answered(AUDIT, "audit/1")
    week.check(run_id)
    with week.ledger.connect() as connection, tried_checks(connection, week.row("runs", run_id=run_id)):
        week.check(run_id, stop_at=week.now() + timedelta(minutes=2))
    report = week.published(run_id)
    assert set(verdicts(report).values()) == {"verified", "refuted", "unclear"}, reasons(report)


def test_whoever_does_not_get_its_turn_tells_what_is_known_from_earlier_audits(week: Week) -> None:
    week.audited("audit/1")
    week.days(5)
    run_id = week.answered(AUDIT, "audit/2")
    with week.ledger.connect() as connection, tried_checks(connection, week.row("runs", run_id=run_id)):
        week.check(run_id, stop_at=week.now() + timedelta(minutes=2))
    report = week.published(run_id)
    assert set(verdicts(report).values()) == {"verified", "refuted", "unclear"}, reasons(report)


def test_what_the_sdk_sends_again_by_itself_is_counted_as_money_that_may_be_spent(week: Week) -> None:
    run_id = week.answered(AUDIT, "audit/1")
    week.faults({"kind": "drop", "when": "after", "endpoint": "messages", "times": 5})
    assert week.check(run_id).asked == len(EVALS)
    with week.ledger.connect() as connection:
        money = connection.execute(sql("money_for_checks"), {"run_id": run_id}).fetchone() or {}
    paid = sum(Decimal(str(charge["cost_usd"])) for charge in week.synchronous())
    assert money["cost_usd"] < paid <= money["committed_usd"]


def test_a_turn_that_may_be_paid_for_is_not_sent_again_without_the_money_for_it(week: Week) -> None:
    week.faults({"kind": "drop", "when": "after", "endpoint": "messages", "times": 5})
    model = load_model(MODEL)
    params = {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": "Hello"}]}
    most = most_usd_of_first_turn(model, params, [])
    bounds = Bounds(max_turns=3, max_usd=2 * most, timeout=timedelta(minutes=1))
    conversation = ask(week.api, week.now, model, params, tools=[], bounds=bounds)
    assert (conversation.state, conversation.risked_usd) == ("lost", 2 * most)
    assert len(week.synchronous()) == 2
