"""A report on disk: complete, or not there."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from backcast.domain.errors import ReportError
from backcast.domain.patches import new_files_patch
from backcast.reports.audit_sarif import audit_sarif
from backcast.reports.extraction import render_extraction
from backcast.reports.generation import render_generation
from backcast.reports.json_report import render_extraction_json, render_generation_json, render_json
from backcast.reports.markdown import render_markdown
from backcast.reports.trend_chart import draw_weeks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from backcast.domain.generation import GenerationReport
    from backcast.domain.proposed import ProposedFile
    from backcast.domain.records import ExtractionReport
    from backcast.domain.report import Report

MARKDOWN = "report.md"
JSON = "report.json"
ROWS = "rows.jsonl"
SARIF = "audit.sarif"
TRENDS = "trends.svg"
PATCH = "tests.patch"
REVIEW_LANE = "review-lane.json"
LATEST = "latest"
_OURS = (MARKDOWN, JSON, ROWS, SARIF, TRENDS, PATCH, REVIEW_LANE)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)


def write_report(report: Report, folder: Path, review_lane: bytes | None = None) -> Path:
    """Write `report.md` and `report.json` into `folder`, instead of what an earlier attempt left; returns `folder`.

    The report of an audit has `audit.sarif` and `trends.svg` beside them.

    Args:
        report: what is reported.
        folder: where to.
        review_lane: JSON of what a person should look at, written beside it; None when there is nothing.

    Raises:
        ReportError: the report cannot be written; an earlier report of this folder is still there.
    """
    contents: dict[str, Iterable[bytes]] = {MARKDOWN: [render_markdown(report).encode()], JSON: [render_json(report)]}
    if report.audit is not None:
        contents |= {
            SARIF: [audit_sarif(report, report.audit)],
            TRENDS: [draw_weeks(report.workflow, report.audit)],
        }
    return _write_folder(contents, folder, review_lane, interim=report.interim)


def write_extraction(
    report: ExtractionReport, folder: Path, lines: Iterable[bytes], review_lane: bytes | None = None
) -> Path:
    """Write `report.md`, `report.json` and `rows.jsonl` into `folder`, as `write_report` does; returns `folder`.

    Args:
        report: what is reported.
        folder: where to.
        lines: the rows, a line of JSON each.
        review_lane: JSON of what a person should look at, written beside it; None when there is nothing.

    Raises:
        ReportError: the report cannot be written; an earlier report of this folder is still there.
    """
    contents = {
        MARKDOWN: [render_extraction(report).encode()],
        JSON: [render_extraction_json(report)],
        ROWS: lines,
    }
    return _write_folder(contents, folder, review_lane, interim=report.interim)


def write_generation(
    report: GenerationReport, folder: Path, files: Iterable[ProposedFile], review_lane: bytes | None = None
) -> Path:
    """Write `report.md`, `report.json` and `tests.patch` into `folder`, as `write_report` does; returns `folder`.

    Args:
        report: what is reported.
        folder: where to.
        files: those that the patch makes.
        review_lane: JSON of what a person should look at, written beside it; None when there is nothing.

    Raises:
        ReportError: the report cannot be written; an earlier report of this folder is still there.
    """
    contents = {
        MARKDOWN: [render_generation(report).encode()],
        JSON: [render_generation_json(report)],
        PATCH: new_files_patch((file.path, file.content) for file in files),
    }
    return _write_folder(contents, folder, review_lane, interim=report.interim)


def _write_folder(
    contents: Mapping[str, Iterable[bytes]], folder: Path, review_lane: bytes | None, *, interim: bool
) -> Path:
    if review_lane is not None:
        contents = {**contents, REVIEW_LANE: [review_lane]}
    temporary = folder.with_name(f".{folder.name}.{uuid4().hex}.tmp")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(folder)
        temporary.mkdir()
        for name, content in contents.items():
            _write(temporary / name, content)
        _sync(temporary)
        _put_in_place(temporary, folder)
        _sync(folder.parent)
    except OSError as error:
        raise ReportError(
            f"cannot write the report to {folder}: {error.strerror or error}; {_advice(error)}"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _remove_leftovers(folder)
    if not interim:
        _point_latest_at(folder)
    return folder


def _refuse_foreign(folder: Path) -> None:
    """Replacing a folder deletes it, so it must hold nothing but a report."""
    if folder.is_dir():
        foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in _OURS)
        if foreign:
            raise ReportError(
                f"cannot write the report to {folder}: it holds other files, such as {foreign[0]}; "
                "choose another folder"
            )


def _write(path: Path, content: Iterable[bytes]) -> None:
    with path.open("xb") as file:
        file.writelines(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_in_place(temporary: Path, folder: Path) -> None:
    """Rename; a folder that is not empty cannot be renamed over, so the earlier one steps aside first."""
    if not folder.is_dir():
        temporary.rename(folder)
        return
    aside = folder.with_name(f".{folder.name}.{uuid4().hex}.old")
    folder.rename(aside)
    try:
        temporary.rename(folder)
    except OSError:
        aside.rename(folder)
        raise


def _remove_leftovers(folder: Path) -> None:
    """Remove the report just replaced, and whatever attempts that were killed left beside it."""
    prefix = f".{folder.name}."
    with suppress(OSError):
        for entry in folder.parent.iterdir():
            if entry.name.startswith(prefix) and entry.suffix in (".old", ".tmp"):
                shutil.rmtree(entry, ignore_errors=True)


def _point_latest_at(folder: Path) -> None:
    """A convenience for people: without it, the report is still a report."""
    link = folder.with_name(f".{LATEST}.{uuid4().hex}.tmp")
    with suppress(OSError):
        link.symlink_to(folder.name)
        link.replace(folder.with_name(LATEST))
    with suppress(OSError):
        link.unlink(missing_ok=True)


def _advice(error: OSError) -> str:
    if error.errno in _NO_ROOM:
        return "free some space there, or choose another folder for reports, and publish again"
    if error.errno in _NO_PERMISSION:
        return "make that folder writable for this user, or choose another one for reports, and publish again"
    return "check that path, or choose another folder for reports, and publish again"
