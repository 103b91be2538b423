"""Publishes a run: settles every document's outcome, writes the report, and freezes both together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from backcast.domain.errors import InDoubtError
from backcast.domain.failures import REVIEWED
from backcast.domain.findings import categories_of, with_fingerprints
from backcast.domain.records import asks_for_records
from backcast.domain.report import Finding, Report
from backcast.domain.static_checks import asks_for_tests
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.copy import copy_in_chunks, stream
from backcast.ledger.runs import load_run, lock_run
from backcast.reports.ranking import ranked
from backcast.reports.writing import MARKDOWN, write_extraction, write_generation, write_report
from backcast.services.acceptance import parse_answer
from backcast.services.addressings import suspicious_documents
from backcast.services.audit import audited
from backcast.services.beside import beside, settings_of
from backcast.services.extraction import extraction_report, lock_rows, rows_as_lines, store_rows
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.found import finding_of
from backcast.services.merge import merge_parts
from backcast.services.outcomes import told_of_every_run, unanswered
from backcast.services.passes import revoke_passes_if_worse
from backcast.services.proposed_tests import generation_report
from backcast.services.review_lane import open_items, review_lane_file
from backcast.services.rounds import release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from backcast.domain.generation import GenerationReport
    from backcast.domain.records import ExtractionReport
    from backcast.services.open_run import Clock


@dataclass(frozen=True, slots=True)
class Publication:
    """Where a run's report is, None when the run was only to be estimated; `interim` when it is not the one due."""

    report: Path | None
    interim: bool = False


def publish(ledger: Ledger, clock: Clock, run_id: int, *, reports: Path) -> Publication:
    """Settle and report a run, once; a later call only tells where the report is.

    The report is written before the ledger says so: a kill in between leaves a report that the next call replaces.

    Raises:
        InDoubtError: requests of the run have no answer yet.
        ReportError: the report cannot be written; the run stays as it was.
    """
    with ledger.transaction() as connection:
        state = lock_run(connection, run_id)
        run = load_run(connection, run_id)
        if state == "published":
            return Publication(Path(run["report_path"]), run["interim"])
        if run["dry_run"]:
            connection.execute(sql("close_estimate"), {"run_id": run_id})
            return Publication(None)
        require_answers(connection, run_id)
        merge_parts(connection, clock(), run)
        settle(connection, run_id)
        revoke_passes_if_worse(connection, clock(), run)
        open_items(connection, clock(), run_id)
        folder = reports / run["workflow"] / f"{run['opened_at']:%Y-%m-%dT%H%M%SZ}-run-{run_id}"
        report = _publisher(run["answer_schema"])(connection, clock, run, folder)
        path = folder / MARKDOWN
        reached(FaultPoint.PUBLISH_WRITTEN)
        connection.execute(
            sql("publish_run"),
            {
                "run_id": run_id,
                "published_at": report.published_at,
                "report_path": str(path),
                "answered": report.totals.answered,
                "reused": report.totals.reused,
                "skipped": report.totals.skipped,
                "unanswered": report.totals.unanswered,
            },
        )
    reached(FaultPoint.PUBLISH_COMMITTED)
    return Publication(path, run["interim"])


def _publish_findings(connection: Connection, clock: Clock, run: Row, folder: Path) -> Report:
    copy_in_chunks(connection, "copy_findings", _finding_rows(connection, run))
    run = {**run, "published_at": clock()}
    report = audited(connection, run, _report(connection, run))
    write_report(report, folder, review_lane_file(connection, run["run_id"]))
    return report


def foreseen(connection: Connection, now: datetime, run: Row) -> Report | None:
    """Return what a run that has all its answers would report now, and change nothing; None when it is over.

    Raises:
        InDoubtError: requests of the run have no answer yet.
    """
    with connection.transaction(force_rollback=True):
        if lock_run(connection, run["run_id"]) != "collected":
            return None
        require_answers(connection, run["run_id"])
        merge_parts(connection, now, run)
        settle(connection, run["run_id"])
        copy_in_chunks(connection, "copy_findings", _finding_rows(connection, run))
        return _report(connection, {**run, "published_at": now})


def _publish_rows(connection: Connection, clock: Clock, run: Row, folder: Path) -> ExtractionReport:
    lock_rows(connection, run)
    run = {**run, "published_at": clock()}
    report = extraction_report(connection, run, store_rows(connection, run))
    lines = rows_as_lines(connection, run["run_id"])
    write_extraction(report, folder, lines, review_lane_file(connection, run["run_id"]))
    return report


def _publish_tests(connection: Connection, clock: Clock, run: Row, folder: Path) -> GenerationReport:
    run = {**run, "published_at": clock()}
    report, files = generation_report(connection, run)
    write_generation(report, folder, files, review_lane_file(connection, run["run_id"]))
    return report


def _publisher(
    answer_schema: str,
) -> Callable[[Connection, Clock, Row, Path], Report | ExtractionReport | GenerationReport]:
    """Return what makes the report of a run whose answers are by this schema."""
    if asks_for_records(answer_schema):
        return _publish_rows
    return _publish_tests if asks_for_tests(answer_schema) else _publish_findings


def reports_findings(answer_schema: str) -> bool:
    """Whether a run whose answers are by this schema makes a report of findings."""
    return _publisher(answer_schema) is _publish_findings


def require_answers(connection: Connection, run_id: int) -> None:
    """Raise InDoubtError while a request of a run may still be answered."""
    row = connection.execute(sql("open_requests"), {"run_id": run_id}).fetchone()
    if row and row["count"]:
        raise InDoubtError(
            f"{row['count']} requests of run {run_id} have no result yet, so nothing is published. Clear the task "
            "that stopped, and its downstream tasks; what was sent is found again."
        )


def settle(connection: Connection, run_id: int) -> None:
    """Settle the outcome of each document of a run that has none, and release what the run had claimed."""
    key = {"run_id": run_id}
    connection.execute(sql("settle_answered"), key)
    connection.execute(sql("reuse_answers"), key)
    connection.execute(sql("settle_unanswered"), {**key, "reviewed": list(REVIEWED)})
    release(connection, run_id)


def _finding_rows(connection: Connection, run: Row) -> Iterator[tuple[Any, ...]]:
    run_id, schema = run["run_id"], orjson.loads(run["answer_schema"])
    for row in stream(connection, "answers_of_run", {"run_id": run_id}, at_a_time=50):
        answer = parse_answer(orjson.loads(row["raw"])["message"], schema)
        for fingerprint, finding in with_fingerprints(row["path"], answer["findings"]):
            yield (
                run_id,
                fingerprint,
                row["document_id"],
                finding["line_start"],
                finding["line_end"],
                *(_text(finding[name]) for name in ("category", "severity", "effort", "title", "why", "suggestion")),
                _text(finding["evidence"]),
            )


def _text(value: str) -> str:
    # PostgreSQL's text cannot hold NUL, which JSON can.
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _report(connection: Connection, run: Row) -> Report:
    key = {"run_id": run["run_id"]}
    previous = connection.execute(sql("previous_run"), key).fetchone()
    both = {**key, "previous_run_id": previous["run_id"] if previous else None}
    settings = settings_of(connection, run)
    findings = tuple(ranked(_findings(connection, both), settings.first))
    return Report(
        **told_of_every_run(connection, run),
        repository=run["repository"],
        ref=run["ref"],
        commit=run["commit_id"],
        committed_at=run["committed_at"],
        previous_published_at=previous["published_at"] if previous else None,
        findings=findings,
        fixed=tuple(finding_of(row, "fixed") for row in connection.execute(sql("fixed_findings"), both).fetchall()),
        unanswered=unanswered(connection, run["run_id"]),
        first=settings.first,
        categories=categories_of(run["answer_schema"]),
        beside=beside(connection, run, settings, findings),
        suspicious=suspicious_documents(connection, run["run_id"]),
    )


def _findings(connection: Connection, both: Row) -> list[Finding]:
    rows = connection.execute(sql("findings_of_run"), both).fetchall()
    return [finding_of(row, "persisting" if row["persisting"] else "new") for row in rows]
