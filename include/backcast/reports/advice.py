"""Advice on disk, as Markdown and JSON: complete, or not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from backcast.reports.markdown import environment
from backcast.reports.whole_folder import write_folder

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from backcast.domain.advice import AdviceReport

MARKDOWN: Final = "report.md"
JSON: Final = "report.json"


def advice_json(report: AdviceReport) -> bytes:
    """Return all of it as JSON; decimals as text."""
    return orjson.dumps(report.view(), default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def advice_markdown(report: AdviceReport) -> str:
    """Return it as Markdown, in which nothing of the repository or of the answer is read as markup."""
    return environment().get_template("advice.md.j2").render(r=report)


def write_advice(report: AdviceReport, parent: Path, opened_at: datetime) -> Path:
    """Write it into a new folder below `parent`, named by its time in UTC and its commit; returns the folder.

    Raises:
        ReportError: it cannot be written.
    """
    contents = {MARKDOWN: advice_markdown(report).encode(), JSON: advice_json(report)}
    return write_folder(contents, parent, opened_at, report.commit)
