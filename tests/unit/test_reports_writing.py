"""A report is on disk whole, or the earlier one still is."""

from __future__ import annotations

import errno
import os
import resource
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from backcast.domain.errors import ReportError
from backcast.domain.report import Report, Spend, Totals
from backcast.reports import writing
from backcast.reports.writing import write_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT = datetime(2026, 5, 1, tzinfo=UTC)

REPORT = Report(
    workflow="nightly_tech_debt",
    run_id=1,
    repository="/srv/shop",
    ref="HEAD",
    commit="ab" * 20,
    committed_at=AT,
    model="claude-sonnet-5-5",
    prompt_version="v1",
    simulated=True,
    opened_at=AT,
    published_at=AT,
    deadline=AT,
    previous_published_at=None,
    totals=Totals(0, 0, 0, 0, 0),
    spend=Spend(0, 0, 0, 0, 0, Decimal(0), Decimal(0)),
    findings=(),
    fixed=(),
    unanswered=(),
    skipped=(),
)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Make real writes fail in the middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_both_files_are_written_and_latest_points_at_them(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "nightly" / "2026-05-01-run-1"
    assert write_report(REPORT, folder) == folder
    assert names(folder) == ["report.json", "report.md"]
    assert names(folder.parent) == ["2026-05-01-run-1", "latest"]
    assert (folder.parent / "latest").readlink().name == "2026-05-01-run-1"


def test_an_earlier_attempt_is_replaced_and_leftovers_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "run-1"
    write_report(REPORT, folder)
    (tmp_path / ".run-1.0123.tmp").mkdir()
    (tmp_path / ".run-1.4567.old").mkdir()
    write_report(replace(REPORT, ref="again"), folder)
    assert "`again`" in (folder / "report.md").read_text()
    assert names(tmp_path) == ["latest", "run-1"]


def test_latest_follows_the_newest_report(tmp_path: Path) -> None:
    write_report(REPORT, tmp_path / "run-1")
    write_report(REPORT, tmp_path / "run-2")
    assert (tmp_path / "latest").readlink().name == "run-2"


def test_something_else_called_latest_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    write_report(REPORT, tmp_path / "run-1")
    assert names(tmp_path) == ["latest", "run-1"]
    assert not (tmp_path / "latest").is_symlink()


def test_a_failure_in_mid_file_leaves_the_earlier_report(tmp_path: Path) -> None:
    folder = tmp_path / "run-1"
    write_report(REPORT, folder)
    before = (folder / "report.md").read_bytes()
    with (
        file_size_limit(200),
        pytest.raises(ReportError, match=r"cannot write .*run-1: File too large; free some space"),
    ):
        write_report(replace(REPORT, ref="again"), folder)
    assert (folder / "report.md").read_bytes() == before
    assert names(tmp_path) == ["latest", "run-1"]


def test_a_failure_of_a_first_report_leaves_nothing(tmp_path: Path) -> None:
    with file_size_limit(200), pytest.raises(ReportError):
        write_report(REPORT, tmp_path / "run-1")
    assert names(tmp_path) == []


@pytest.mark.parametrize("place", ["file/run-1", "file"])
def test_a_file_in_the_way_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ReportError, match=r"cannot write the report to .*file.*; check that path"):
        write_report(REPORT, tmp_path / place)
    assert (tmp_path / "file").read_text() == "mine"
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(ReportError, match="make that folder writable"):
        write_report(REPORT, closed / "run-1")


def test_a_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(ReportError, match=r"other files, such as thesis\.txt"):
        write_report(REPORT, folder)
    assert names(folder) == ["thesis.txt"]


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "free some space"), (errno.EROFS, "writable"), (errno.EACCES, "writable"), (errno.EIO, "check")],
)
def test_the_advice_fits_the_cause(number: int, advice: str) -> None:
    assert advice in writing._advice(OSError(number, "cause"))
