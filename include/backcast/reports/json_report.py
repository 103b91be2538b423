"""The report as JSON, as `report.schema.json` describes it."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import orjson

from backcast.reports import wording

if TYPE_CHECKING:
    from collections.abc import Collection

    from backcast.domain.generation import GenerationReport
    from backcast.domain.records import ExtractionReport
    from backcast.domain.report import Report

SCHEMA_VERSION = 1

_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME


def render_json(report: Report) -> bytes:
    """The whole report; the keys keep their order from one report to the next. `suspicious` is left out when empty."""
    # Only where findings are checked is there anything to say of an audit.
    may_be_left_out = {"suspicious": report.suspicious, "audit": report.audit}
    return _rendered(report, [name for name, value in may_be_left_out.items() if not value])


def render_extraction_json(report: ExtractionReport) -> bytes:
    """The report of a run that extracts rows, without the rows, as `extraction.schema.json` describes it."""
    return _rendered(report, rows=report.rows, unverified=report.unverified)


def render_generation_json(report: GenerationReport) -> bytes:
    """The report of a run that proposes tests, as `generation.schema.json` describes it, without the patch."""
    return _rendered(report, patch_files=report.patch_files)


def _rendered(
    report: Report | ExtractionReport | GenerationReport, left_out: Collection[str] = (), **counted: int
) -> bytes:
    content = {field.name: getattr(report, field.name) for field in fields(report) if field.name not in left_out}
    return orjson.dumps({"schema_version": SCHEMA_VERSION} | content | counted, default=_plain, option=_OPTIONS)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return wording.utc(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        # A string, because a JSON number would be read as a binary fraction.
        return f"{value:f}"
    raise TypeError(f"a report holds no {type(value).__name__}")
