"""Where the checks of an audit's findings are easily wrong: two of them at once, settings that change, hostile text."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.audits import AUDIT, EVAL, Week
from tests.integration.test_finding_checks import EVALS, reasons, verdicts

from backcast.services.locks import tried_checks

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger


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
