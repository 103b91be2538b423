"""The report as JSON, as `report.schema.json` describes it."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import orjson

from backcast.reports import wording

if TYPE_CHECKING:
    from backcast.domain.generation import GenerationReport
    from backcast.domain.records import ExtractionReport
    from backcast.domain.report import Report

SCHEMA_VERSION = 1

_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME


def render_json(report: Report) -> bytes:
    """The whole report; the keys keep their order from one report to the next. `suspicious` is left out when empty."""
    content = {field.name: getattr(report, field.name) for field in fields(report)}
    if not report.suspicious:
        del content["suspicious"]
    if report.audit is None:
        # Only where findings are checked is there anything to say of it.
        del content["audit"]
    return orjson.dumps({"schema_version": SCHEMA_VERSION} | content, default=_plain, option=_OPTIONS)


def render_extraction_json(report: ExtractionReport) -> bytes:
    """The report of a run that extracts rows, without the rows, as `extraction.schema.json` describes it."""
    content = {field.name: getattr(report, field.name) for field in fields(report)}
    counted = {"rows": report.rows, "unverified": report.unverified}
    return orjson.dumps({"schema_version": SCHEMA_VERSION} | content | counted, default=_plain, option=_OPTIONS)


def render_generation_json(report: GenerationReport) -> bytes:
    """The report of a run that proposes tests, as `generation.schema.json` describes it, without the patch."""
    content = {field.name: getattr(report, field.name) for field in fields(report)}
    counted = {"patch_files": report.patch_files}
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
