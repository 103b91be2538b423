"""What a report says of checked findings, and of the audits of the last weeks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from backcast.domain.audit import Audit, AuditWeek, CheckTerms, FindingCheck, Quotation, verified_first
from backcast.domain.errors import InputError
from backcast.domain.weeks import weeks_until
from backcast.ledger.connection import Connection, Row, sql
from backcast.services.alerts import raise_alert
from backcast.services.beside import PERIOD
from backcast.settings import check_terms, declared_facts

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.domain.report import Report

WEEKS: Final = 12


def terms_of(connection: Connection, now: datetime, run: Row) -> CheckTerms | None:
    """Return how the findings of a run are checked, as its workflow says now; None when they are not.

    A workflow that cannot be read any more keeps back no report: nothing is checked then, and an alert says so.
    """
    try:
        return check_terms(run["workflow"])
    except InputError as error:
        raise_alert(
            connection,
            now,
            kind="check_settings",
            subject=f"run {run['run_id']}",
            message=f"The findings of run {run['run_id']} are not checked: {error}",
            run_id=run["run_id"],
        )
        return None


def audited(connection: Connection, run: Row, report: Report) -> Report:
    """Return a report with what checks of its findings brought; as it is where findings are not checked.

    What was checked is told also when the workflow has dropped its checks since, or cannot be read: it is paid for.

    Args:
        connection: in the transaction that publishes the run, whose findings are stored.
        run: the run, with the moment at which it is published.
        report: what it says without.
    """
    terms = terms_of(connection, run["published_at"], run)
    key = {"run_id": run["run_id"]}
    rows = connection.execute(sql("checked_findings_of_run"), key).fetchall()
    if terms is None and not rows:
        return report
    checks = {row["fingerprint"]: _check(row) for row in rows}
    shown = [*report.findings, *(one.finding for one in (report.beside.findings if report.beside else ()))]
    money = connection.execute(sql("money_for_checks"), key).fetchone() or {}
    zone = _zone(run["workflow"])
    audit = Audit(
        terms=terms or CheckTerms(),
        checks=tuple(checks[finding.fingerprint] for finding in shown if finding.fingerprint in checks),
        conversations=money["conversations"],
        cost_usd=money["cost_usd"],
        risked_usd=money["risked_usd"],
        weeks=_weeks(connection, run, zone, report.beside.workflow if report.beside else None),
        zone=zone,
    )
    return replace(report, findings=verified_first(report.findings, audit), audit=audit)


def _check(row: Row) -> FindingCheck:
    evidence: list[dict[str, Any]] = row["evidence"] or []
    return FindingCheck(
        fingerprint=row["fingerprint"],
        verdict=row["verdict"] or "unclear",
        reason=row["note"],
        evidence=tuple(Quotation(**piece) for piece in evidence),
        asked=row["verdict"] is not None,
        run_id=row["run_id"],
        checked_at=row["ended_at"],
    )


def _zone(workflow: str) -> str:
    try:
        due = declared_facts(workflow).due
    except InputError:
        return "UTC"
    return due.zone if due is not None else "UTC"


def _weeks(connection: Connection, run: Row, zone: str, beside: str | None) -> tuple[AuditWeek, ...]:
    """Return the last weeks up to the one in which a run is due, by when audits were due.

    A fast audit is published days before it is due, and a slow one just in time: by that, a week would have two of
    them and the next one none.
    """
    weeks = weeks_until(run["deadline"].astimezone(UTC), zone, WEEKS)
    mondays = {week.name: week.monday for week in weeks}
    values = {
        "run_id": run["run_id"],
        "now": run["published_at"],
        "names": [week.name for week in weeks],
        "begins": [week.begins for week in weeks],
        "ends": [week.ends for week in weeks],
        "beside": beside,
        "period": PERIOD,
    }
    rows = connection.execute(sql("audit_weeks"), values).fetchall()
    return tuple(AuditWeek(begins=mondays[row["week"]], **row) for row in rows)
