"""What another workflow found of the same repository in the week before a report."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from backcast.domain.audit import same_place
from backcast.domain.errors import InputError
from backcast.domain.report import Beside, ReportRef, ReportSettings, SeenFinding, SeenToo
from backcast.ledger.connection import Connection, Row, sql
from backcast.reports.ranking import ranked
from backcast.services.alerts import raise_alert
from backcast.services.found import finding_of
from backcast.settings import report_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from backcast.domain.report import Finding, FindingStatus, Order

PERIOD: Final = timedelta(days=7)


def settings_of(connection: Connection, run: Row) -> ReportSettings:
    """Return how the report of a run is put together, as its workflow says now.

    A workflow that cannot be read any more must not keep back answers that are paid for: then the report is put
    together in the usual way, and an alert says so.
    """
    try:
        return report_settings(run["workflow"])
    except InputError as error:
        raise_alert(
            connection,
            run["published_at"],
            kind="report_settings",
            subject=f"run {run['run_id']}",
            message=f"The report of run {run['run_id']} shows nothing beside it and keeps the usual order: {error}",
            run_id=run["run_id"],
        )
        return ReportSettings()


def beside(connection: Connection, run: Row, settings: ReportSettings, own: Sequence[Finding]) -> Beside | None:
    """Return what the workflow to be shown beside this run's report found, up to its `published_at`.

    What it found at the place of one of the run's `own` findings is told as seen there, too, and not once more.
    """
    if settings.beside is None:
        return None
    since = run["published_at"] - PERIOD
    key = {"run_id": run["run_id"], "workflow": settings.beside, "since": since, "until": run["published_at"]}
    reports = tuple(ReportRef(**row) for row in connection.execute(sql("reports_beside"), key).fetchall())
    rows: list[Row] = []
    if reports:
        runs = {"run_ids": [report.run_id for report in reports], "latest_run_id": reports[0].run_id}
        rows = connection.execute(sql("findings_beside"), key | runs).fetchall()
    by_path = _by_path(own)
    found = [(one := _seen(row), row["own"], _places(one, by_path)) for row in rows]
    still = [(one, places) for one, _, places in found if one.finding.status != "fixed"]
    return Beside(
        workflow=settings.beside,
        since=since,
        reports=reports,
        findings=_ranked((one for one, places in still if not places), settings.first),
        fixed=tuple(one for one, is_own, _ in found if one.finding.status == "fixed" and not is_own),
        same=tuple(
            SeenToo(each.fingerprint, one.run_id, one.published_at, one.finding.category)
            for one, places in still
            for each in places
        ),
    )


def _places(seen: SeenFinding, own: Mapping[str, Sequence[Finding]]) -> list[Finding]:
    """Return the run's own findings that another workflow's open finding is about, too."""
    other = seen.finding
    near = own.get(other.path, ())
    return [each for each in near if each.fingerprint == other.fingerprint or same_place(each, other)]


def _by_path(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    by_path: dict[str, list[Finding]] = {}
    for finding in findings:
        by_path.setdefault(finding.path, []).append(finding)
    return by_path


def _seen(row: Row) -> SeenFinding:
    status: FindingStatus = "fixed" if row["fixed"] else "persisting" if row["persisting"] else "new"
    return SeenFinding(row["run_id"], row["published_at"], finding_of(row, status))


def _ranked(seen: Iterable[SeenFinding], first: Order) -> tuple[SeenFinding, ...]:
    by_fingerprint = {one.finding.fingerprint: one for one in seen}
    order = ranked((one.finding for one in by_fingerprint.values()), first)
    return tuple(by_fingerprint[finding.fingerprint] for finding in order)
